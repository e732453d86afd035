// The visit kernel for few rows, compiled once per target by few.cc.

#include <algorithm>
#include <cmath>
#include <limits>

#include "hwy/highway.h"
#include "saccade/kernel/few.h"

#if defined(SACCADE_KERNEL_FEW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SACCADE_KERNEL_FEW_INL_H_
#undef SACCADE_KERNEL_FEW_INL_H_
#else
#define SACCADE_KERNEL_FEW_INL_H_
#endif

#include "saccade/kernel/exp2-inl.h"
#include "saccade/kernel/load-inl.h"

HWY_BEFORE_NAMESPACE();
namespace saccade::kernel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

namespace few {

using V8 = hn::Vec<F8>;
inline constexpr float kNegInf = -std::numeric_limits<float>::infinity();

/// {sum a, sum b, sum c, sum d}
HWY_INLINE hn::Vec<hn::FixedTag<float, 4>> sums_of_four(V8 a, V8 b, V8 c, V8 d4) {
  const F8 d;
  const hn::Repartition<std::uint64_t, F8> d64;
  const V8 ab = hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b));
  const V8 cd = hn::Add(hn::InterleaveLower(d, c, d4), hn::InterleaveUpper(d, c, d4));
  const auto low = hn::InterleaveLower(d64, hn::BitCast(d64, ab), hn::BitCast(d64, cd));
  const auto high = hn::InterleaveUpper(d64, hn::BitCast(d64, ab), hn::BitCast(d64, cd));
  const V8 sums = hn::Add(hn::BitCast(d, low), hn::BitCast(d, high));
#if HWY_MAX_BYTES >= 32
  const hn::Half<F8> dh;
  return hn::Add(hn::LowerHalf(dh, sums), hn::UpperHalf(dh, sums));
#else
  return sums;
#endif
}

/// scores[row][key .. key + 4] for `kRows` rows; k: [4, dim] converted.
template <int kRows>
HWY_INLINE void dot_four(const float* HWY_RESTRICT q, const float* HWY_RESTRICT k, int dim,
                         float* HWY_RESTRICT scores) {
  const F8 d;
  V8 sum[kRows][4];
  for (int r = 0; r < kRows; ++r) {
    for (int j = 0; j < 4; ++j) sum[r][j] = hn::Zero(d);
  }
  for (int at = 0; at < dim; at += kStep) {
    V8 ks[4];
    for (int j = 0; j < 4; ++j) ks[j] = hn::Load(d, k + j * dim + at);
    for (int r = 0; r < kRows; ++r) {
      const V8 qs = hn::Load(d, q + r * dim + at);
      for (int j = 0; j < 4; ++j) sum[r][j] = hn::MulAdd(qs, ks[j], sum[r][j]);
    }
  }
  const hn::FixedTag<float, 4> d4;
  for (int r = 0; r < kRows; ++r) {
    hn::Store(sums_of_four(sum[r][0], sum[r][1], sum[r][2], sum[r][3]), d4, scores + r * kBlockKeys);
  }
}

/// o[row] += sum over keys of weight v, for `kRows` rows and `kWide` vectors from dimension `at` on.
template <int kRows, int kWide, DType kType>
HWY_INLINE void mix_keys(const RawBlock& block, const float* HWY_RESTRICT weights, int at, float* HWY_RESTRICT o) {
  const F8 d;
  V8 sum[kRows][kWide];
  for (int r = 0; r < kRows; ++r) {
    for (int n = 0; n < kWide; ++n) sum[r][n] = hn::Zero(d);
  }
  const std::byte* row = block.v;
  for (int key = 0; key < block.n_keys; ++key, row += block.v_stride) {
    V8 vs[kWide];
    for (int n = 0; n < kWide; ++n) vs[n] = load<kType>(row, at + n * kStep);
    for (int r = 0; r < kRows; ++r) {
      const V8 weight = hn::Set(d, weights[r * kBlockKeys + key]);
      for (int n = 0; n < kWide; ++n) sum[r][n] = hn::MulAdd(weight, vs[n], sum[r][n]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int n = 0; n < kWide; ++n) {
      float* to = o + r * block.v_dim + at + n * kStep;
      hn::Store(hn::Add(hn::Load(d, to), sum[r][n]), d, to);
    }
  }
}

/// A row that hides keys must not touch their values: 0 x NaN is NaN.
template <DType kType>
HWY_INLINE void mix_seen(const RawBlock& block, const float* HWY_RESTRICT weights, const std::uint32_t* visible,
                         float* HWY_RESTRICT o) {
  const F8 d;
  for (int at = 0; at < block.v_dim; at += kStep) {
    V8 sum = hn::Zero(d);
    for (int key = 0; key < block.n_keys; ++key) {
      if (!(visible[key / 32] >> (key % 32) & 1U)) continue;
      sum = hn::MulAdd(hn::Set(d, weights[key]), load<kType>(block.v + key * block.v_stride, at), sum);
    }
    hn::Store(hn::Add(hn::Load(d, o + at), sum), d, o + at);
  }
}

template <int kRows, DType kType>
HWY_INLINE void mix_rows(const RawBlock& block, const float* weights, float* o) {
  constexpr int kWide = HWY_TARGET <= HWY_AVX3 ? 4 : 2;
  int at = 0;
  for (; at + kWide * kStep <= block.v_dim; at += kWide * kStep) {
    mix_keys<kRows, kWide, kType>(block, weights, at, o);
  }
  for (; at < block.v_dim; at += kStep) mix_keys<kRows, 1, kType>(block, weights, at, o);
}

template <DType kType>
void mix(const FewRows& rows, const RawBlock& block, const FewMask& mask, const float* weights) {
  const int dim = block.v_dim;
  if (mask.visible) {
    for (int r = 0; r < rows.n_rows; ++r) {
      mix_seen<kType>(block, weights + r * kBlockKeys, mask.visible + r * (kBlockKeys / 32), rows.o + r * dim);
    }
    return;
  }
  int r = 0;
  for (; r + 4 <= rows.n_rows; r += 4) mix_rows<4, kType>(block, weights + r * kBlockKeys, rows.o + r * dim);
  switch (rows.n_rows - r) {
    case 3:
      mix_rows<3, kType>(block, weights + r * kBlockKeys, rows.o + r * dim);
      break;
    case 2:
      mix_rows<2, kType>(block, weights + r * kBlockKeys, rows.o + r * dim);
      break;
    case 1:
      mix_rows<1, kType>(block, weights + r * kBlockKeys, rows.o + r * dim);
      break;
    default:
      break;
  }
}

/// All rows' dots with all keys of the block; keys past the end leave garbage in the last group of four.
template <DType kType>
void score(const FewRows& rows, const RawBlock& block, float* HWY_RESTRICT four, float* HWY_RESTRICT scores) {
  const int dim = block.head_dim;
  for (int key = 0; key < block.n_keys; key += 4) {
    const int n = std::min(4, block.n_keys - key);
    load_rows<kType>(block.k + key * block.k_stride, block.k_stride, n, dim, four);
    int r = 0;
    for (; r + 4 <= rows.n_rows; r += 4) dot_four<4>(rows.q + r * dim, four, dim, scores + r * kBlockKeys + key);
    switch (rows.n_rows - r) {
      case 3:
        dot_four<3>(rows.q + r * dim, four, dim, scores + r * kBlockKeys + key);
        break;
      case 2:
        dot_four<2>(rows.q + r * dim, four, dim, scores + r * kBlockKeys + key);
        break;
      case 1:
        dot_four<1>(rows.q + r * dim, four, dim, scores + r * kBlockKeys + key);
        break;
      default:
        break;
    }
  }
}

/// Scores of one row to weights, in place; joins its running maximum and sum; returns what o shrinks by.
HWY_INLINE float weigh_row(int n_keys, const std::uint32_t* visible, const float* bias, ScoreRule rule,
                           float* HWY_RESTRICT scores, float& row_max, float& row_sum) {
  const F8 d;
  const Shaper<F8> shaper(d, rule, bias != nullptr);
  float top = kNegInf;
  const int padded = (n_keys + kStep - 1) / kStep * kStep;
  for (int key = 0; key < padded; key += kStep) {
    const V8 s = hn::Load(d, scores + key);
    hn::Store(bias ? shaper(d, s, hn::Load(d, bias + key)) : shaper(d, s), d, scores + key);
  }
  for (int key = n_keys; key < padded; ++key) scores[key] = kNegInf;
  if (visible) {
    for (int key = 0; key < n_keys; ++key) {
      if (!(visible[key / 32] >> (key % 32) & 1U)) scores[key] = kNegInf;
    }
  }
  for (int key = 0; key < n_keys; ++key) top = scores[key] > top ? scores[key] : top;
  const V8 factor = hn::Set(d, shaper.factor());
  const float old = row_max;
  row_max = std::max(old, top * shaper.factor());
  const float base = row_max == kNegInf ? 0.0F : row_max;
  V8 sum = hn::Zero(d);
  for (int key = 0; key < padded; key += kStep) {
    const V8 weight = exp2_nonpositive(d, hn::MulSub(hn::Load(d, scores + key), factor, hn::Set(d, base)));
    hn::Store(weight, d, scores + key);
    sum = hn::Add(sum, weight);
  }
  const float alpha = hn::GetLane(exp2_nonpositive(d, hn::Set(d, old - base)));
  row_sum = row_sum * alpha + hn::GetLane(hn::SumOfLanes(d, sum));
  return alpha;
}

inline void visit(const FewRows& rows, const RawBlock& block, const FewMask& mask, ScoreRule rule, float* scratch) {
  float* scores = scratch;
  float* four = scratch + kFewRows * kBlockKeys;
  switch (block.k_dtype) {
    case DType::f32:
      score<DType::f32>(rows, block, four, scores);
      break;
    case DType::f16:
      score<DType::f16>(rows, block, four, scores);
      break;
    case DType::bf16:
      score<DType::bf16>(rows, block, four, scores);
      break;
    case DType::q8_0:
      score<DType::q8_0>(rows, block, four, scores);
      break;
  }
  for (int r = 0; r < rows.n_rows; ++r) {
    const float alpha = weigh_row(block.n_keys, mask.visible ? mask.visible + r * (kBlockKeys / 32) : nullptr,
                                  mask.bias ? mask.bias + r * kBlockKeys : nullptr, rule, scores + r * kBlockKeys,
                                  rows.row_max[r], rows.row_sum[r]);
    if (alpha == 1.0F) continue;
    for (int i = 0; i < block.v_dim; ++i) rows.o[r * block.v_dim + i] *= alpha;
  }
  switch (block.v_dtype) {
    case DType::f32:
      mix<DType::f32>(rows, block, mask, scores);
      break;
    case DType::f16:
      mix<DType::f16>(rows, block, mask, scores);
      break;
    case DType::bf16:
      mix<DType::bf16>(rows, block, mask, scores);
      break;
    case DType::q8_0:
      mix<DType::q8_0>(rows, block, mask, scores);
      break;
  }
}

}  // namespace few
}  // namespace saccade::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SACCADE_KERNEL_FEW_INL_H_
