# Builds the harnesses with the preset `fuzz`; called by ctest from the root of the source.
foreach(step IN ITEMS "${CMAKE_COMMAND};--preset;fuzz;-DSACCADE_LLAMA_PREFIX=${SACCADE_LLAMA_PREFIX}"
                      "${CMAKE_COMMAND};--build;--preset;fuzz")
  execute_process(COMMAND ${step} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
