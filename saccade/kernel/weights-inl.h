// The loops behind weights.h, compiled once per target by weights.cc.
//
// Keys lie in lanes, unlike in the visit kernel: probes read rows of a map, and a row's mask and sum are then vectors.

#include <algorithm>

#include "hwy/highway.h"
#include "saccade/kernel/weights.h"

#if defined(SACCADE_KERNEL_WEIGHTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SACCADE_KERNEL_WEIGHTS_INL_H_
#undef SACCADE_KERNEL_WEIGHTS_INL_H_
#else
#define SACCADE_KERNEL_WEIGHTS_INL_H_
#endif

#include "saccade/kernel/exp2-inl.h"

HWY_BEFORE_NAMESPACE();
namespace saccade::kernel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F = hn::CappedTag<float, 16>;
using V = hn::Vec<F>;
inline constexpr int kLanes = static_cast<int>(HWY_MAX_BYTES / 4 < 16 ? HWY_MAX_BYTES / 4 : 16);
// Vectors of keys beside one another: with 4 queries 16 accumulators and 8 loads for 16 multiply-adds in AVX-512,
// 8 and 6 for 8 where there are only 16 registers.
inline constexpr int kWide = HWY_TARGET <= HWY_AVX3 ? 4 : 2;
inline constexpr int kStrip = kWide * kLanes;
static_assert(kBlockKeys % kStrip == 0);

/// Dots of kQueries queries with a strip of keys.
template <int kQueries>
HWY_INLINE void dot_queries(const float* HWY_RESTRICT q, const float* HWY_RESTRICT k, int head_dim,
                            float* HWY_RESTRICT out) {
  const F d;
  V sum[kQueries][kWide];
  HWY_UNROLL(4)
  for (int i = 0; i < kQueries; ++i) {
    HWY_UNROLL(4)
    for (int n = 0; n < kWide; ++n) sum[i][n] = hn::Zero(d);
  }
  for (int at = 0; at < head_dim; ++at) {
    V keys[kWide];
    HWY_UNROLL(4)
    for (int n = 0; n < kWide; ++n) keys[n] = hn::Load(d, k + at * kBlockKeys + n * kLanes);
    HWY_UNROLL(4)
    for (int i = 0; i < kQueries; ++i) {
      const V query = hn::Set(d, q[i * head_dim + at]);
      HWY_UNROLL(4)
      for (int n = 0; n < kWide; ++n) sum[i][n] = hn::MulAdd(query, keys[n], sum[i][n]);
    }
  }
  HWY_UNROLL(4)
  for (int i = 0; i < kQueries; ++i) {
    HWY_UNROLL(4)
    for (int n = 0; n < kWide; ++n) hn::Store(sum[i][n], d, out + i * kBlockKeys + n * kLanes);
  }
}

inline void dot_all(const WeightsJob& job, float* out) {
  for (int strip = 0; strip < job.n_keys; strip += kStrip) {
    int query = 0;
    for (; query + 4 <= job.n_queries; query += 4) {
      dot_queries<4>(job.q + query * job.head_dim, job.k + strip, job.head_dim, out + query * kBlockKeys + strip);
    }
    for (; query < job.n_queries; ++query) {
      dot_queries<1>(job.q + query * job.head_dim, job.k + strip, job.head_dim, out + query * kBlockKeys + strip);
    }
  }
}

/// The mask of a vector of keys from `at` on: visible under the pattern and not behind the last key.
HWY_INLINE hn::Mask<F> visible_at(const WeightsJob& job, int query, int at) {
  const F d;
  const hn::RebindToUnsigned<F> du;
  const int left = job.n_keys - at;
  std::uint32_t word = left >= kLanes ? ~0U : left <= 0 ? 0U : (1U << left) - 1;
  if (job.visible) word &= job.visible[query * (kBlockKeys / 32) + at / 32] >> (at % 32);
  const auto lane_bits = hn::Shl(hn::Set(du, 1U), hn::Iota(du, 0));
  return hn::RebindMask(d, hn::TestBit(hn::Set(du, word), lane_bits));
}

/// A row of dots, in `weights`, to weights and their logarithms; returns the sum of the weights.
template <bool kMasked>
HWY_INLINE float weigh_row(const WeightsJob& job, const Shaper<F>& shaper, int query, float* HWY_RESTRICT weights,
                           float* HWY_RESTRICT log2_weights) {
  const F d;
  // The normaliser in two floats: rounded to one it would cost as much as the score's own rounding.
  const double lse = job.lse[query];
  const V high = hn::Set(d, static_cast<float>(lse));
  const double rest = lse - static_cast<double>(static_cast<float>(lse));
  const V low = hn::Set(d, rest == rest ? static_cast<float>(rest) : 0.0F);
  const V factor = hn::Set(d, shaper.factor());
  V sum = hn::Zero(d);
  for (int at = 0; at < kBlockKeys; at += kLanes) {
    V score = hn::Load(d, weights + at);
    if constexpr (kMasked) {
      score = job.bias ? shaper(d, score, hn::Load(d, job.bias + query * kBlockKeys + at)) : shaper(d, score);
    }
    const V exponent = at_least(d, hn::Set(d, -127.0F), hn::Sub(hn::MulSub(score, factor, high), low));
    V weight = exp2_nonpositive(d, exponent);
    if constexpr (kMasked) {
      const auto visible = visible_at(job, query, at);
      weight = hn::IfThenElseZero(visible, weight);
      hn::Store(hn::IfThenElseZero(visible, exponent), d, log2_weights + at);
    } else {
      hn::Store(exponent, d, log2_weights + at);
    }
    hn::Store(weight, d, weights + at);
    sum = hn::Add(sum, weight);
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

inline void find_all(const WeightsJob& job, ScoreRule rule, float* weights, float* log2_weights, float* row_sums) {
  dot_all(job, weights);
  const F d;
  const Shaper<F> shaper(d, rule, job.bias != nullptr);
  const bool masked = job.visible || !shaper.plain() || job.n_keys != kBlockKeys;
  for (int query = 0; query < job.n_queries; ++query) {
    float* row = weights + query * kBlockKeys;
    float* log2_row = log2_weights + query * kBlockKeys;
    row_sums[query] = masked ? weigh_row<true>(job, shaper, query, row, log2_row)
                             : weigh_row<false>(job, shaper, query, row, log2_row);
  }
}

}  // namespace saccade::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SACCADE_KERNEL_WEIGHTS_INL_H_
