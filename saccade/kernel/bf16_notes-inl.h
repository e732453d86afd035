// What a visit in bf16 keeps for probes. Included by bf16-inl.h alone.

#pragma once

#include <algorithm>
#include <bit>

#include "saccade/kernel/bf16_weigh-inl.h"

namespace saccade::kernel {
namespace {

/// What a row's worst kept key is, as a logarithm; better ones exceed it. Of weight 0 (denormals are) nothing is kept.
/// `ties`: so do as good ones.
template <int kWide>
[[gnu::always_inline]] inline void find_floors(const Bf16Notes* notes, bool ties, const Weighing<kWide>& to,
                                               __m512i (&floors)[kWide]) {
  if (!wants_best(notes)) return;
  for (int n = 0; n < kWide; ++n) {
    const __m512 floor = _mm512_load_ps(notes->best.floor + n * kTileSide);
    const __m512 log = _mm512_fmadd_ps(floor, _mm512_set1_ps(kSteps), to.offset[n]);
    const __m512i floor_bits = _mm512_castps_si512(_mm512_max_ps(_mm512_set1_ps(kZero), log));
    floors[n] = _mm512_max_epu32(_mm512_sub_epi32(floor_bits, _mm512_set1_epi32(ties ? 1 : 0)),
                                 _mm512_castps_si512(_mm512_set1_ps(kZero + kSteps - 1)));
  }
}

/// Lists what weigh_pairs hit in a strip of keys from `first` of the visit on: words of the logarithm in steps, of the
/// key and of the row, from the highest bits down. Without a branch for a single key or row: which of them it is nobody
/// can predict.
template <int kWide>
[[gnu::noinline]] std::uint32_t* list_hits(unsigned hits, const float* scores, int first, const __m512i* floors,
                                           const Weighing<kWide>& of_block, std::uint32_t* end) {
  const __m512 steps = _mm512_set1_ps(of_block.factor * kSteps);
  const __m512i rows = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  for (; hits != 0; hits &= hits - 1) {
    const int hit = std::countr_zero(hits), n = hit % kWide, begin = hit / kWide * kTogether;
    const float* from = scores + begin * kTileRows + n * kTileSide;
    __m512i places = _mm512_add_epi32(rows, _mm512_set1_epi32((first + begin) << kRowBits | n * kTileSide));
#pragma clang loop unroll(full)
    for (int key = 0; key < kTogether; ++key) {
      const __m512i log =
          _mm512_castps_si512(_mm512_fmadd_ps(_mm512_load_ps(from + key * kTileRows), steps, of_block.offset[n]));
      const __mmask16 better = _mm512_cmpgt_epu32_mask(log, floors[n]);
      const __m512i words = _mm512_or_si512(_mm512_slli_epi32(log, 16), places);
      _mm512_storeu_si512(end, _mm512_maskz_compress_epi32(better, words));
      end += std::popcount(static_cast<unsigned>(better));
      places = _mm512_add_epi32(places, _mm512_set1_epi32(1 << kRowBits));
    }
  }
  return end;
}

/// Puts what list_hits listed where it belongs.
inline void keep_listed(const std::uint32_t* end, const float* row_max, const Bf16Notes& notes) {
  const BestLists lists = notes.best;
  const std::int32_t* const positions = notes.positions;
  for (const std::uint32_t* word = notes.words; word < end; ++word) {
    const std::uint32_t row = *word % (1U << kRowBits), key = *word % (1U << 16U) >> kRowBits;
    const float log = static_cast<float>(*word >> 16U) * (1 / kSteps) - 127;
    hv::keep(lists, static_cast<int>(row), RankedKey({row_max[row] + log, positions[key]}));
  }
}

/// Weights of a block that was weighed as it was: what notes want of the largest, and from sums of weight times score
/// to those of their logarithms.
template <int kWide>
[[gnu::always_inline]] inline void note_as_is(const Bf16Notes& notes, Weighing<kWide>& to) {
  for (int n = 0; n < kWide; ++n) {
    const __m512 above = _mm512_mul_ps(_mm512_sub_ps(to.top[n], _mm512_set1_ps(kOne)), _mm512_set1_ps(1 / kSteps));
    float* at = notes.top + n * kTileSide;
    if (notes.top) _mm512_store_ps(at, _mm512_max_ps(_mm512_load_ps(at), _mm512_add_ps(to.row_max[n].raw, above)));
    to.logs[n] = _mm512_fmsub_ps(to.logs[n], _mm512_set1_ps(to.factor), _mm512_mul_ps(to.row_max[n].raw, to.sums[n]));
  }
}

/// Keeps the best of a block whose scores are all there.
inline void keep_best_of(const Bf16Tile& tile, const Bf16Block& block, int number, const float* scores) {
  const Bf16Notes& notes = *tile.notes;
  ListedScore* const listed = notes.listed;
  const int n = list_best({.scores = scores, .factor = notes.factor, .n_keys = block.n_keys, .n_rows = tile.n_rows},
                          notes.best.n_best, notes.best.floor, listed);
  keep_best(listed, n, notes.positions + number * kBlockKeys, notes.best);
}

/// The block joins the notes of its rows, before its weights join row_sum. All weights of before shrink by 2^fall, and
/// their logarithms fall by it:  sum' = shrink (sum + fall row_sum) + sum of the block
template <int kWide>
[[gnu::always_inline]] inline void join_notes(const Bf16Tile& tile, const Weighing<kWide>& of_block) {
  Bf16Notes& notes = *tile.notes;
  for (int n = 0; n < kWide; ++n) {
    const int row = n * kTileSide;
    const __m512 alpha = of_block.alpha[n].raw;
    if (notes.visit_sum) {
      float* at = notes.visit_sum + row;
      _mm512_store_ps(at, _mm512_fmadd_ps(_mm512_load_ps(at), alpha, of_block.sums[n]));
    }
    if (_mm512_cmpneq_ps_mask(alpha, _mm512_set1_ps(1.0F)) != 0) {
      notes.shrank = true;
      _mm512_store_ps(notes.shrink + row, _mm512_mul_ps(_mm512_load_ps(notes.shrink + row), alpha));
    }
    if (!notes.log_sum) continue;
    const __m512 fall = _mm512_max_ps(_mm512_set1_ps(-127.0F), of_block.fall[n].raw);  // from nothing: -inf, no weight
    float* at = notes.log_sum + row;
    const __m512 before = _mm512_fmadd_ps(fall, _mm512_load_ps(tile.row_sum + row), _mm512_load_ps(at));
    _mm512_store_ps(at, _mm512_fmadd_ps(alpha, before, of_block.logs[n]));
  }
}

/// What a visit writes is empty before it.
inline void clear(float factor, Bf16Notes& notes) {
  std::fill_n(notes.factor, kTileRows, factor);
  std::fill_n(notes.shrink, kTileRows, 1.0F);
  if (notes.visit_sum) std::fill_n(notes.visit_sum, kTileRows, 0.0F);
  notes.shrank = false;
}

}  // namespace
}  // namespace saccade::kernel
