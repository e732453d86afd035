#pragma once

#include <cstdint>
#include <span>

#include "apps/saccade/attention.h"
#include "apps/saccade/engine.h"
#include "apps/saccade/model_file.h"
#include "apps/saccade/options.h"

namespace saccade::app {

/// The most tokens this model carries: what it was trained for, times --yarn.
std::int64_t most_context(const ModelOptions& options, const ModelFacts& model);

/// Errors: Fault::kUser when -c is more than that.
void check(const ModelOptions& options, const ModelFacts& model);

/// What a context of n_ctx tokens for a prompt of n_prompt is made with, by the flags and by what the attentions that
/// run in it need: one whose choice depends on how a prompt is cut into batches gets larger ones, unless --ubatch was
/// given.
ContextOptions context_options(const ModelOptions& options, std::span<const Attention> attentions,
                               std::int64_t n_prompt, std::int64_t n_ctx);

}  // namespace saccade::app
