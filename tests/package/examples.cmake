# Installs into a folder of its own, moves it (a package must not know where it was made), builds examples/c and
# examples/cpp against it and runs them; both say the same.
cmake_minimum_required(VERSION 3.25)
set(ENV{LC_ALL} C)

# run(COMMAND...): must end with 0; leaves what it printed in `output`.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE errors)
  if(NOT code EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}\nended with ${code}:\n${output}${errors}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK})
set(ENV{DESTDIR} ${WORK}/destdir)
run(${CMAKE_COMMAND} --install ${BUILD} --component development)
unset(ENV{DESTDIR})
file(RENAME ${WORK}/destdir${PREFIX} ${WORK}/moved)

foreach(example IN ITEMS c cpp)
  run(${CMAKE_COMMAND} -S ${SOURCE}/examples/${example} -B ${WORK}/${example} -G ${GENERATOR} -DCMAKE_BUILD_TYPE=Release
      -DCMAKE_PREFIX_PATH=${WORK}/moved -DCMAKE_C_COMPILER=${CC} -DCMAKE_CXX_COMPILER=${CXX}
      "-DCMAKE_C_FLAGS=-Wall -Wextra -pedantic -Werror" "-DCMAKE_CXX_FLAGS=-Wall -Wextra -pedantic -Werror")
  run(${CMAKE_COMMAND} --build ${WORK}/${example})
  run(${WORK}/${example}/attend)
  string(REGEX REPLACE "^Saccade [^\n]*\n" "" said_${example} "${output}")
endforeach()
message("${said_c}")
if(NOT said_c MATCHES "^dense: 100 % .*\nwindow\\(64\\)\\+sink\\(4\\): 2[0-9] % .*\nunknown mechanism \"windw\"; did you mean \"window\"")
  message(FATAL_ERROR "the C example printed:\n${said_c}")
endif()
if(NOT said_c STREQUAL said_cpp)
  message(FATAL_ERROR "the C++ example printed:\n${said_cpp}")
endif()
