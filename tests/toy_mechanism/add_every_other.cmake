# Adds a selector to a copy of the tree and shows that nothing else needs touching: the list, the grammar and the laws
# find it by its name, and the catalogue is red until its row is there.
#   cmake -DSOURCE=... -DWORK=... -DGENERATOR=... -DCXX=... -P add_every_other.cmake
cmake_minimum_required(VERSION 3.25)

set(toy ${SOURCE}/tests/toy_mechanism)
set(tree ${WORK}/tree)
set(build ${WORK}/build)

# run(EXPECTED TEXT COMMAND...): the command's exit code is EXPECTED (0 or RED) and its output contains TEXT.
function(run expected text)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE output)
  list(JOIN ARGN " " command)
  if((expected STREQUAL "RED" AND code EQUAL 0) OR (expected STREQUAL "0" AND NOT code EQUAL 0))
    message(FATAL_ERROR "${command}\nended with ${code}, expected ${expected}:\n${output}")
  endif()
  string(FIND "${output}" "${text}" found)
  if(found EQUAL -1)
    message(FATAL_ERROR "${command}\ndid not print \"${text}\" but:\n${output}")
  endif()
  message(STATUS "${command}: ${text}")
endfunction()

# The tree as it is, with a top level that builds no more than the catalogue needs.
file(REMOVE_RECURSE ${WORK})
file(COPY ${SOURCE}/cmake ${SOURCE}/docs ${SOURCE}/saccade DESTINATION ${tree})
file(COPY ${SOURCE}/tests/laws ${SOURCE}/tests/support DESTINATION ${tree}/tests)
file(COPY ${toy}/project/CMakeLists.txt ${toy}/project/list.cc DESTINATION ${tree})
run(0 "" ${CMAKE_COMMAND} -S ${tree} -B ${build} -G ${GENERATOR} -DCMAKE_CXX_COMPILER=${CXX})
run(0 "" ${CMAKE_COMMAND} --build ${build} --parallel 2 --target list)
run(RED "unknown mechanism \"every_other\"" ${build}/bin/list "every_other(3)")

# The header and the test.
file(COPY ${toy}/every_other.h ${toy}/every_other_test.cc DESTINATION ${tree}/saccade/where)
run(0 "" ${CMAKE_COMMAND} --build ${build} --parallel 2)
run(0 "PASSED" ${build}/bin/where_test --gtest_filter=EveryOther.*)
run(RED "docs/mechanisms.md has no row | every_other | where |" ${build}/bin/catalogue_test)

# The row.
file(APPEND ${tree}/docs/mechanisms.md
     "| every_other | where | Every n-th key back from the query; one [toy], nothing more. | Saccade |\n")
run(0 "" ${CMAKE_COMMAND} --build ${build} --parallel 2)
run(0 "PASSED" ${build}/bin/catalogue_test)
run(0 "where every_other(n=2): Every n-th key back from the query; one [toy], nothing more. Source: Saccade"
    ${build}/bin/list)
run(0 "every_other(3)+sink(1): query 9 sees 0 3 6 9" ${build}/bin/list "every_other(3)+sink(1)")
run(RED "where/every_other: n must be >= 1, got 0" ${build}/bin/list "every_other(n=0)")
run(RED "did you mean \"every_other\"?" ${build}/bin/list "evry_other")
