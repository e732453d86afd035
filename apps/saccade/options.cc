#include "apps/saccade/options.h"

#include <fmt/format.h>

#include "saccade/base/error.h"

namespace saccade::app {
void in_range(const char* flag, std::int64_t value, std::int64_t least, std::int64_t most) {
  if (value < least) fail_user(fmt::format("{} must be >= {}, got {}", flag, least, value));
  if (value > most) fail_user(fmt::format("{} must be <= {}, got {}", flag, most, value));
}

void check(const ModelOptions& options) {
  if (options.given_threads) in_range("-t", options.n_threads, 1, 512);  // 512: ggml's most
  if (options.given_ctx) in_range("-c", options.n_ctx, 1, 1 << 30);
  in_range("--ubatch", options.n_ubatch, 1, 1 << 20);
  if (!(options.yarn >= 1 && options.yarn <= 32))
    fail_user(fmt::format("--yarn must be 1 to 32, got {}", options.yarn));
}

void check(const RunOptions& options) {
  check(static_cast<const ModelOptions&>(options));
  in_range("-n", options.n_tokens, 0, 1 << 30);
  if (options.given_attn && options.given_plan) fail_user("--attn and --plan cannot both be given");
}

void check(const CompareOptions& options) {
  check(static_cast<const ModelOptions&>(options));
  if (!options.output.empty() && !options.output.ends_with(".json") && !options.output.ends_with(".jsonl"))
    fail_user(fmt::format("-o must end in .json or .jsonl, got '{}'", options.output));
}

}  // namespace saccade::app
