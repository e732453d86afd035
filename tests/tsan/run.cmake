# Configures, builds and runs what is threaded with the preset `tsan`; called by ctest from the root of the source.
cmake_host_system_information(RESULT n_cores QUERY NUMBER_OF_LOGICAL_CORES)
foreach(step IN ITEMS "${CMAKE_COMMAND};--preset;tsan;-DSACCADE_LLAMA_PREFIX=${SACCADE_LLAMA_PREFIX}"
                      "${CMAKE_COMMAND};--build;--preset;tsan" "${CMAKE_CTEST_COMMAND};--preset;tsan;-j;${n_cores}")
  execute_process(COMMAND ${step} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
