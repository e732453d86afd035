#include "saccade/kernel/weights.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "saccade/kernel/weights.cc"
#include "hwy/foreach_target.h"  // NOLINT: compiles what follows once per target
#include "hwy/highway.h"
#include "saccade/kernel/weights-inl.h"

HWY_BEFORE_NAMESPACE();
namespace saccade::kernel::HWY_NAMESPACE {

void FindWeights(const WeightsJob& job, ScoreRule rule, float* weights, float* log2_weights, float* row_sums) {
  find_all(job, rule, weights, log2_weights, row_sums);
}

}  // namespace saccade::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace saccade::kernel {

HWY_EXPORT(FindWeights);

void transpose_keys(const float* rows, int n_keys, int head_dim, float* out) noexcept {
  // Eight dimensions of a key are half a line: each line of `rows` is read once, and eight lines are written side by
  // side.
  for (int at = 0; at < head_dim; at += 8) {
    for (int key = 0; key < n_keys; ++key) {
      const float* from = rows + key * head_dim + at;
      for (int i = 0; i < 8; ++i) out[(at + i) * kBlockKeys + key] = from[i];
    }
    for (int i = 0; i < 8; ++i) std::fill(out + (at + i) * kBlockKeys + n_keys, out + (at + i + 1) * kBlockKeys, 0.0F);
  }
}

void find_weights(const WeightsJob& job, ScoreRule rule, float* weights, float* log2_weights,
                  float* row_sums) noexcept {
  HWY_DYNAMIC_DISPATCH(FindWeights)(job, rule, weights, log2_weights, row_sums);
}

}  // namespace saccade::kernel
#endif
