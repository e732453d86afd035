// The visit kernel's vector loops, compiled once per target by visit.cc.
//
// Rows lie in lanes, so the softmax is vertical (no horizontal maxima or sums) and keys and values are read as
// broadcasts in the order they lie in memory: neither is ever transposed.

#include <limits>

#include "hwy/highway.h"
#include "saccade/kernel/visit.h"

#if defined(SACCADE_KERNEL_VISIT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SACCADE_KERNEL_VISIT_INL_H_
#undef SACCADE_KERNEL_VISIT_INL_H_
#else
#define SACCADE_KERNEL_VISIT_INL_H_
#endif

#include "saccade/kernel/exp2-inl.h"
#include "saccade/kernel/notes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace saccade::kernel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F = hn::CappedTag<float, 16>;
using V = hn::Vec<F>;
inline constexpr int kLanes = static_cast<int>(HWY_MAX_BYTES / 4 < 16 ? HWY_MAX_BYTES / 4 : 16);
// Accumulators of a register tile: kHigh x 3 vectors, beside 3 operands and a broadcast.
inline constexpr int kHigh = HWY_TARGET <= HWY_AVX3 ? 8 : 4;
inline constexpr float kNegInf = -std::numeric_limits<float>::infinity();

/// sum[high keys][wide vectors] = k . q
template <int kKeys, int kWide>
HWY_INLINE void dot_sums(const float* HWY_RESTRICT q, const float* HWY_RESTRICT k, int head_dim,
                         V (&sum)[kKeys][kWide]) {
  const F d;
  HWY_UNROLL(8)
  for (int i = 0; i < kKeys; ++i) {
    HWY_UNROLL(3)
    for (int n = 0; n < kWide; ++n) sum[i][n] = hn::Zero(d);
  }
  for (int at = 0; at < head_dim; ++at) {
    V qs[kWide];
    HWY_UNROLL(3)
    for (int n = 0; n < kWide; ++n) qs[n] = hn::Load(d, q + at * kTileRows + n * kLanes);
    HWY_UNROLL(8)
    for (int i = 0; i < kKeys; ++i) {
      const V key = hn::Set(d, k[i * head_dim + at]);
      HWY_UNROLL(3)
      for (int n = 0; n < kWide; ++n) sum[i][n] = hn::MulAdd(key, qs[n], sum[i][n]);
    }
  }
}

/// scores[high keys][wide vectors] = k . q, and the running maximum of each column.
template <int kKeys, int kWide>
HWY_INLINE void dot_keys(const float* HWY_RESTRICT q, const float* HWY_RESTRICT k, int head_dim,
                         float* HWY_RESTRICT scores, V (&top)[kWide]) {
  const F d;
  V sum[kKeys][kWide];
  dot_sums(q, k, head_dim, sum);
  HWY_UNROLL(8)
  for (int i = 0; i < kKeys; ++i) {
    HWY_UNROLL(3)
    for (int n = 0; n < kWide; ++n) {
      hn::Store(sum[i][n], d, scores + i * kTileRows + n * kLanes);
      top[n] = hn::Max(top[n], sum[i][n]);
    }
  }
}

/// o[high dimensions][wide vectors] = o alpha + sum over keys of v weight.
template <int kDims, int kWide>
HWY_INLINE void mix_dims(const float* HWY_RESTRICT weights, const float* HWY_RESTRICT v, int n_keys,
                         const V (&alpha)[kWide], float* HWY_RESTRICT o) {
  const F d;
  V sum[kDims][kWide];
  HWY_UNROLL(8)
  for (int i = 0; i < kDims; ++i) {
    HWY_UNROLL(3)
    for (int n = 0; n < kWide; ++n) sum[i][n] = hn::Zero(d);
  }
  for (int key = 0; key < n_keys; ++key) {
    V ws[kWide];
    HWY_UNROLL(3)
    for (int n = 0; n < kWide; ++n) ws[n] = hn::Load(d, weights + key * kTileRows + n * kLanes);
    HWY_UNROLL(8)
    for (int i = 0; i < kDims; ++i) {
      const V value = hn::Set(d, v[key * kPanel + i]);
      HWY_UNROLL(3)
      for (int n = 0; n < kWide; ++n) sum[i][n] = hn::MulAdd(value, ws[n], sum[i][n]);
    }
  }
  HWY_UNROLL(8)
  for (int i = 0; i < kDims; ++i) {
    HWY_UNROLL(3)
    for (int n = 0; n < kWide; ++n) {
      float* at = o + i * kTileRows + n * kLanes;
      hn::Store(hn::MulAdd(hn::Load(d, at), alpha[n], sum[i][n]), d, at);
    }
  }
}

/// Dots to shaped scores, hidden keys to -inf, and the maximum of each column anew. The slow way round: only for ragged
/// edges, caps and biases.
template <int kWide>
HWY_INLINE void shape_scores(const TileMask& mask, const Shaper<F>& shaper, int n_keys, int column,
                             float* HWY_RESTRICT scores, V (&top)[kWide]) {
  const F d;
  const hn::RebindToUnsigned<F> du;
  for (int n = 0; n < kWide; ++n) top[n] = hn::Set(d, kNegInf);
  for (int key = 0; key < n_keys; ++key) {
    const auto bit = hn::Set(du, 1U << (key % 32));
    for (int n = 0; n < kWide; ++n) {
      float* at = scores + key * kTileRows + n * kLanes;
      const int lane = column + n * kLanes;
      V s = hn::Load(d, at);
      s = mask.bias ? shaper(d, s, hn::Load(d, mask.bias + key * kTileRows + lane)) : shaper(d, s);
      if (mask.visible) {
        const auto words = hn::Load(du, mask.visible + key / 32 * kTileRows + lane);
        s = hn::IfThenElse(hn::RebindMask(d, hn::TestBit(words, bit)), s, hn::Set(d, kNegInf));
      }
      hn::Store(s, d, at);
      top[n] = hn::Max(top[n], s);
    }
  }
}

/// weight = 2^(score c - m); returns their sums per column. `weights` may be `scores`. `noted`: beside that what probes
/// want of them, with a number for each key.
template <bool kNotes, int kWide>
HWY_INLINE void weigh_scores(int n_keys, float c, const V (&row_max)[kWide], const float* scores, float* weights,
                             const float* distance, V (&sums)[kWide], NoteSums<F> (&noted)[kWide]) {
  const F d;
  const V cs = hn::Set(d, c);
  for (int n = 0; n < kWide; ++n) sums[n] = hn::Zero(d);
  for (int key = 0; key < n_keys; ++key) {
    HWY_UNROLL(3)
    for (int n = 0; n < kWide; ++n) {
      const int at = key * kTileRows + n * kLanes;
      const V log = hn::MulSub(hn::Load(d, scores + at), cs, row_max[n]);
      const V weight = exp2_nonpositive(d, log);
      hn::Store(weight, d, weights + at);
      sums[n] = hn::Add(sums[n], weight);
      if constexpr (kNotes) noted[n].add(log, weight, distance[key]);
    }
  }
}

/// The same in rows from `column` on, whose maxima rose from `old_max` and whose sums are still the old ones, with
/// notes kept. Returns where the weights are.
template <int kWide>
HWY_INLINE float* weigh_and_note(const Tile& tile, int n_keys, float c, int column, const V (&old_max)[kWide],
                                 const V (&row_max)[kWide], const V (&alpha)[kWide], const float* scores,
                                 V (&sums)[kWide]) {
  const F d;
  const Notes& notes = *tile.notes;
  NoteSums<F> noted[kWide];
  float* weights = notes.weights + column;
  if (notes.log_sum) {
    weigh_scores<true, kWide>(n_keys, c, row_max, scores, weights, notes.distance, sums, noted);
  } else {
    weigh_scores<false, kWide>(n_keys, c, row_max, scores, weights, nullptr, sums, noted);
  }
  for (int n = 0; n < kWide; ++n) {
    const int row = column + n * kLanes;
    hn::Store(hn::Set(d, c), d, notes.factor + row);
    join_notes(notes, row, hn::Sub(old_max[n], row_max[n]), alpha[n], hn::Load(d, tile.row_sum + row), sums[n],
               noted[n]);
  }
  return notes.weights;
}

/// NaN or inf among the values of a block that not every row sees: 0 x NaN must not reach the rows that do not look.
inline void mix_carefully(const Tile& tile, const KeyBlock& block, const TileMask& mask, int column, int n_columns,
                          const float* weights, const float* alpha) {
  for (int row = column; row < column + n_columns; ++row) {
    for (int i = 0; i < block.v_dim; ++i) {
      float sum = 0.0F;
      for (int key = 0; key < block.n_keys; ++key) {
        if (mask.visible[key / 32 * kTileRows + row] >> (key % 32) & 1U) {
          sum += weights[key * kTileRows + row] * block.v[(i / kPanel * block.n_keys + key) * kPanel + i % kPanel];
        }
      }
      float& o = tile.o[i * kTileRows + row];
      o = o * alpha[row] + sum;
    }
  }
}

/// `kWide` vectors of rows, from row `column` on.
template <int kWide>
HWY_NOINLINE void visit_columns(const Tile& tile, const KeyBlock& block, const TileMask& mask, ScoreRule rule,
                                int column, float* all_scores) {
  const F d;
  float* scores = all_scores + column;
  V top[kWide];
  for (int n = 0; n < kWide; ++n) top[n] = hn::Set(d, kNegInf);
  int key = 0;
  for (; key + kHigh <= block.n_keys; key += kHigh) {
    dot_keys<kHigh, kWide>(tile.q + column, block.k + key * block.head_dim, block.head_dim, scores + key * kTileRows,
                           top);
  }
  for (; key < block.n_keys; ++key) {
    dot_keys<1, kWide>(tile.q + column, block.k + key * block.head_dim, block.head_dim, scores + key * kTileRows, top);
  }

  const Shaper<F> shaper(d, rule, mask.bias != nullptr);
  if (mask.visible || !shaper.plain()) shape_scores<kWide>(mask, shaper, block.n_keys, column, scores, top);
  const float c = shaper.factor();
  V old[kWide];
  V row_max[kWide];
  V alpha[kWide];
  HWY_ALIGN float alphas[kTileRows];
  for (int n = 0; n < kWide; ++n) {
    old[n] = hn::Load(d, tile.row_max + column + n * kLanes);
    const V seen = hn::Max(old[n], hn::Mul(top[n], hn::Set(d, c)));
    hn::Store(seen, d, tile.row_max + column + n * kLanes);
    row_max[n] = hn::IfThenElse(hn::Eq(seen, hn::Set(d, kNegInf)), hn::Zero(d), seen);  // nothing seen yet: weights 0
    alpha[n] = exp2_nonpositive(d, hn::Sub(old[n], row_max[n]));
    hn::Store(alpha[n], d, alphas + column + n * kLanes);
  }
  V sums[kWide];
  float* all_weights = all_scores;
  if (tile.notes) {
    all_weights = weigh_and_note(tile, block.n_keys, c, column, old, row_max, alpha, scores, sums);
  } else {
    NoteSums<F> none[kWide];
    weigh_scores<false, kWide>(block.n_keys, c, row_max, scores, scores, nullptr, sums, none);
  }
  const float* weights = all_weights + column;
  for (int n = 0; n < kWide; ++n) {
    float* at = tile.row_sum + column + n * kLanes;
    hn::Store(hn::MulAdd(hn::Load(d, at), alpha[n], sums[n]), d, at);
  }

  if (!block.v_finite && mask.visible) {
    mix_carefully(tile, block, mask, column, kWide * kLanes, all_weights, alphas);
    return;
  }
  for (int i = 0; i < block.v_dim; i += kHigh) {
    mix_dims<kHigh, kWide>(weights, block.v + (i / kPanel * block.n_keys) * kPanel + i % kPanel, block.n_keys, alpha,
                           tile.o + i * kTileRows + column);
  }
}

inline void visit_tile(const Tile& tile, const KeyBlock& block, const TileMask& mask, ScoreRule rule, float* scores) {
  const int n_vectors = (tile.n_rows + kLanes - 1) / kLanes;
  int at = 0;
  for (; at + 3 <= n_vectors; at += 3) visit_columns<3>(tile, block, mask, rule, at * kLanes, scores);
  if (n_vectors - at == 2) visit_columns<2>(tile, block, mask, rule, at * kLanes, scores);
  if (n_vectors - at == 1) visit_columns<1>(tile, block, mask, rule, at * kLanes, scores);
}

}  // namespace saccade::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SACCADE_KERNEL_VISIT_INL_H_
