#pragma once

#include "plugins/llama/ggml_door.h"

namespace saccade::llama {

/// What a program that knows nothing of us says to us, in environment variables; null: not set.
struct Environment {
  const char* plan = nullptr;    ///< SACCADE_PLAN: a file or a spec; null: dense
  const char* see = nullptr;     ///< SACCADE_SEE: the file that says what was looked at (see_file.h)
  const char* probes = nullptr;  ///< SACCADE_SEE_PROBES: those whose numbers it holds; null: SeeFile::kDefault
};

/// What ggml gets when it loads libggml-saccade.so: our registry entry, set to the plan.
/// Errors: none; a ggml of another release, or a plan that cannot be read, gives null and one line in ggml's log, and
/// the program goes on without us. What is wrong with `see` or `probes` gets a line too, and nothing is looked at.
ggml_backend_reg_t open_plugin(const Ggml& ggml, const Environment& environment) noexcept;

}  // namespace saccade::llama
