# Configures, builds and runs the fast tests with the preset `asan`; called by ctest from the root of the source.
foreach(step IN ITEMS "${CMAKE_COMMAND};--preset;asan;-DSACCADE_LLAMA_PREFIX=${SACCADE_LLAMA_PREFIX}"
                      "${CMAKE_COMMAND};--build;--preset;asan" "${CMAKE_CTEST_COMMAND};--preset;asan")
  execute_process(COMMAND ${step} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
