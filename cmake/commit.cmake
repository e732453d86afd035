# cmake -DROOT= -DOUT= -P commit.cmake: writes the commit that is being built, with a + when the tree differs from it,
# into a header, and only when it changed. Empty where there is no git.
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND git -C ${ROOT} rev-parse --short HEAD OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE
                ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(commit "")
else()
  execute_process(COMMAND git -C ${ROOT} diff --quiet HEAD RESULT_VARIABLE differs ERROR_QUIET)
  if(differs)
    string(APPEND commit "+")
  endif()
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT "#pragma once\n\nnamespace saccade {\n\n/// Empty: not known. A + says that the tree differed from it.\ninline constexpr const char* kCommit = \"@commit@\";\n\n}  // namespace saccade\n" @ONLY)
