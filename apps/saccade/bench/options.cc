#include "apps/saccade/bench/options.h"

#include <fmt/format.h>

#include "apps/saccade/options.h"
#include "saccade/base/error.h"

namespace saccade::app {

void check(const BenchOptions& options) {
  for (const auto n : options.threads) in_range("-t", n, 1, 512);  // 512: ggml's most
  for (const auto dim : options.head_dims) in_range("--head-dim", dim, 1, 1 << 16);
  for (const auto kv_len : options.kv_lens) in_range("--kv", kv_len, 1, 1 << 30);
  for (const auto n : options.tokens) in_range("--tokens", n, 1, 1 << 20);
  in_range("--q-len", options.q_len, 1, 1 << 20);
  in_range("--heads", options.n_heads, 1, 1 << 12);
  in_range("--kv-heads", options.n_kv_heads, 1, 1 << 12);
  if (options.given_repetitions) in_range("-r", options.repetitions, 1, 1 << 20);
  in_range("--footprint", options.footprint_mib, 1, std::int64_t{1} << 30);
  for (const double density : options.densities)
    if (!(density > 0 && density <= 1)) fail_user(fmt::format("--density must be > 0 and <= 1, got {}", density));
}

}  // namespace saccade::app
