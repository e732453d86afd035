# cmake -DOUT= -DROOT= -P assets.cmake: writes the page of `saccade inspect` into a header, one string a file.
cmake_minimum_required(VERSION 3.25)

set(content "")
function(asset name file)
  file(READ ${ROOT}/apps/saccade/inspect/${file} text)
  set(content "${content}inline constexpr std::string_view ${name} = R\"asset(${text})asset\";\n\n" PARENT_SCOPE)
endfunction()

set(scripts "")
asset(kInspectPage page.html)
asset(kInspectStyle style.css)
foreach(script base colour heads map text lists proof main)
  asset(kScript_${script} ${script}.js)
  list(APPEND scripts kScript_${script})
endforeach()
list(JOIN scripts ", " scripts)
file(WRITE ${OUT} "// Written by cmake/assets.cmake from apps/saccade/inspect; do not edit.
#pragma once

#include <string_view>

namespace saccade::app {

${content}inline constexpr std::string_view kInspectScripts[] = {${scripts}};

}  // namespace saccade::app
")
