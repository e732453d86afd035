#pragma once

#include "plugins/llama/ggml_door.h"

namespace saccade::llama {

/// What ggml gets when it loads libggml-saccade.so: our registry entry, set to the plan. Null plan: dense.
/// Errors: none; a ggml of another release, or a plan that cannot be read, gives null and one line in ggml's log, and
/// the program goes on without us.
ggml_backend_reg_t open_plugin(const Ggml& ggml, const char* file_or_spec) noexcept;

}  // namespace saccade::llama
