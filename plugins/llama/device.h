#pragma once

#include <memory>
#include <string>

#include "plugins/llama/backend.h"
#include "plugins/llama/ggml_door.h"
#include "saccade/plan/plan.h"

namespace saccade::llama {

/// Why we cannot serve this ggml, in one line; empty when we can. It must be the release we were built with, and no
/// other copy of us may be registered.
std::string reason_to_decline(const Ggml& ggml);

/// Our entry for ggml's registry: one device of type ACCEL on the CPU's own buffers, which claims attention while a
/// plan is set; with `place_weights` more, which say where models keep their weights (placement.h). Requires
/// reason_to_decline(ggml) to be empty.
ggml_backend_reg_t make_reg(const Ggml& ggml, bool place_weights);

/// What all contexts of this process run; null: nothing is claimed.
void set_plan(std::shared_ptr<const Plan> plan);

}  // namespace saccade::llama
