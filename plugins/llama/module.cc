#include <cstdlib>

#include "plugins/llama/plugin.h"

/// The one function that libggml-saccade.so shows. The environment is the plug-in's only door: it alone reads it.
extern "C" __attribute__((visibility("default"))) ggml_backend_reg_t ggml_backend_init() {
  return saccade::llama::open_plugin(
      saccade::llama::find_ggml(),
      {std::getenv("SACCADE_PLAN"), std::getenv("SACCADE_SEE"), std::getenv("SACCADE_SEE_PROBES")});
}
