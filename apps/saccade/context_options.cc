#include "apps/saccade/context_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "saccade/base/error.h"

namespace saccade::app {
namespace {

/// Of a choice that is made with a batch's last rows: the more rows a batch has, the fewer choices a prompt needs, and
/// the more alike they are to the one that was made for the whole prompt. More than this takes memory for little.
constexpr std::int64_t kLargeBatch = 4096;

bool depends_on_batch(const Attention& attention) { return attention.ours() && attention.plan->depends_on_batch(); }

std::int64_t batch_size(const ModelOptions& options, std::span<const Attention> attentions, std::int64_t n_prompt) {
  if (options.given_ubatch || std::ranges::none_of(attentions, depends_on_batch)) return options.n_ubatch;
  return std::max(options.n_ubatch, std::min(kLargeBatch, round_ctx(n_prompt)));
}

}  // namespace

std::int64_t most_context(const ModelOptions& options, const ModelFacts& model) {
  return static_cast<std::int64_t>(std::floor(options.yarn * model.n_ctx_train));
}

void check(const ModelOptions& options, const ModelFacts& model) {
  if (!options.given_ctx || options.n_ctx <= most_context(options, model)) return;
  const std::string stretched = options.yarn > 1 ? fmt::format(", times --yarn {}", options.yarn) : "";
  fail_user(fmt::format("-c must be <= {}, the context this model was trained for{}, got {}",
                        most_context(options, model), stretched, options.n_ctx));
}

ContextOptions context_options(const ModelOptions& options, std::span<const Attention> attentions,
                               std::int64_t n_prompt, std::int64_t n_ctx) {
  return {.n_ctx = static_cast<int>(n_ctx),
          .n_threads = options.given_threads ? static_cast<int>(options.n_threads) : default_threads(),
          .n_ubatch = static_cast<int>(batch_size(options, attentions, n_prompt)),
          .yarn = options.yarn};
}

}  // namespace saccade::app
