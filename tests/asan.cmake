# Configures, builds and runs the fast tests with the preset `asan`; called by ctest from the root of the source.
set(ENV{LSAN_OPTIONS} suppressions=${CMAKE_CURRENT_LIST_DIR}/lsan.supp:print_suppressions=0)
cmake_host_system_information(RESULT n_cores QUERY NUMBER_OF_LOGICAL_CORES)
foreach(step IN ITEMS "${CMAKE_COMMAND};--preset;asan;-DSACCADE_LLAMA_PREFIX=${SACCADE_LLAMA_PREFIX}"
                      "${CMAKE_COMMAND};--build;--preset;asan" "${CMAKE_CTEST_COMMAND};--preset;asan;-j;${n_cores}")
  execute_process(COMMAND ${step} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
