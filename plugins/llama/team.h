#pragma once

#include <memory>

#include "plugins/llama/ggml_door.h"
#include "saccade/base/team.h"

namespace saccade::llama {

/// The threads that attention runs on inside somebody else's program: those of the OpenMP runtime that ggml's CPU
/// backend uses, if it uses one, because two pools of spinning threads on the same cores slow each other down;
/// else threads of our own, which sleep between calls.
/// Errors: as make_thread_team
std::unique_ptr<Team> make_guest_team(const Ggml& ggml, int n_threads);

/// Does ggml's CPU backend use an OpenMP runtime that we found, so that a guest team of several threads shares it?
bool shares_openmp(const Ggml& ggml);

}  // namespace saccade::llama
