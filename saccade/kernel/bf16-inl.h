// The visit kernel in bf16 tiles, for any unit of tile_units-inl.h. Included by bf16.cc alone.
//
// Rows lie in lanes here too: scores are K Q^T, tiles of 16 keys x 16 rows, and o is V^T W^T, tiles of 16 dimensions x
// 16 rows. Both left operands lie in tiles ready to load, both right ones as words of two dimensions or two keys.

#pragma once

#include <type_traits>

#include "saccade/kernel/tile_units-inl.h"
#include "saccade/kernel/visit-inl.h"

namespace saccade::kernel {
namespace {

namespace hv = HWY_NAMESPACE;
static_assert(HWY_TARGET == HWY_AVX3, "compile this for AVX-512");

/// sum<first + n> += left tiles times right tiles, over n_steps, in kWide columns of rows.
template <int kFirst, int kWide, class Unit>
[[gnu::always_inline]] inline void multiply_row(Unit& unit, const std::uint32_t* left, const std::uint32_t* right) {
  unit.load_left(left);
  unit.load_right(right);
  unit.template multiply<kFirst>();
  if constexpr (kWide > 1) {
    unit.load_right(right + kTileSide);
    unit.template multiply<kFirst + 1>();
  }
  if constexpr (kWide > 2) {
    unit.load_right(right + 2 * kTileSide);
    unit.template multiply<kFirst + 2>();
  }
}

template <int kHigh, int kWide, class Body>
[[gnu::always_inline]] inline void for_each_sum(const Body& body) {
  const auto row = [&]<int kRow>(std::integral_constant<int, kRow>) {
    body.template operator()<kRow * 3>(kRow, 0);
    if constexpr (kWide > 1) body.template operator()<kRow * 3 + 1>(kRow, 1);
    if constexpr (kWide > 2) body.template operator()<kRow * 3 + 2>(kRow, 2);
  };
  row(std::integral_constant<int, 0>{});
  if constexpr (kHigh > 1) row(std::integral_constant<int, 1>{});
}

/// out [kHigh 16, kTileRows] = left right, or that added to what is there. A right tile is loaded once for each of the
/// kHigh left ones: four loads of 8 cycles beside three products of 16.
template <int kHigh, int kWide, bool kAdd, class Unit>
[[gnu::always_inline]] inline void multiply(Unit& unit, const std::uint32_t* left, const std::uint32_t* right,
                                            int n_steps, float* out) {
  const auto place = [out](int row, int column) { return out + row * kTileSide * kTileRows + column * kTileSide; };
  for_each_sum<kHigh, kWide>([&]<int i>(int row, int column) {
    if constexpr (kAdd) unit.template load_sum<i>(place(row, column));
    if constexpr (!kAdd) unit.template zero_sum<i>();
  });
  for (int step = 0; step < n_steps; ++step) {
    multiply_row<0, kWide>(unit, left + step * kTileWords, right + step * kTileSide * kTileRows);
    if constexpr (kHigh > 1) {
      multiply_row<3, kWide>(unit, left + (n_steps + step) * kTileWords, right + step * kTileSide * kTileRows);
    }
  }
  for_each_sum<kHigh, kWide>([&]<int i>(int row, int column) { unit.template store_sum<i>(place(row, column)); });
}

/// 2^x for x <= 0 within 7.5e-5; -inf gives 0, NaN stays NaN. A cubic on [0, 1) of least relative error.
[[gnu::always_inline]] inline __m512 exp2_roughly(__m512 x) {
  constexpr int kTowardsMinusInfinity = 1;
  const __m512 fraction = _mm512_reduce_ps(x, kTowardsMinusInfinity);
  __m512 p = _mm512_set1_ps(0.07802452264047964F);
  p = _mm512_fmadd_ps(p, fraction, _mm512_set1_ps(0.226067155427483F));
  p = _mm512_fmadd_ps(p, fraction, _mm512_set1_ps(0.6958335404947528F));
  p = _mm512_fmadd_ps(p, fraction, _mm512_set1_ps(0.9999252185627154F));
  return _mm512_scalef_ps(p, x);
}

/// Scores to words of the weights of two keys; returns the sums of the rounded weights. Rounding is to the nearest,
/// ties up: one weight in 65,536 is a tie. `words` may be `scores`. `n_keys`: a multiple of 32, of which the notes
/// count `n_noted`.
template <bool kNotes, int kWide>
[[gnu::always_inline]] inline void weigh_pairs(int n_keys, float c, const hv::V (&row_max)[kWide], const float* scores,
                                               float* words, const float* distance, int n_noted, __m512 (&sums)[kWide],
                                               hv::NoteSums<hv::F> (&noted)[kWide]) {
  const __m512i half = _mm512_set1_epi32(0x8000), high_bits = _mm512_set1_epi32(-65536);
  const __m512 cs = _mm512_set1_ps(c);
#pragma clang loop unroll(full)
  for (int n = 0; n < kWide; ++n) sums[n] = _mm512_setzero_ps();
  for (int key = 0; key < n_keys; key += 2) {
#pragma clang loop unroll(full)
    for (int n = 0; n < kWide; ++n) {
      const float* from = scores + key * kTileRows + n * kTileSide;
      const auto log = [&](const float* at) { return _mm512_fmsub_ps(_mm512_load_ps(at), cs, row_max[n].raw); };
      const auto weight = [&](const float* at) {
        return _mm512_add_epi32(_mm512_castps_si512(exp2_roughly(log(at))), half);
      };
      const __m512i early = _mm512_srli_epi32(weight(from), 16);
      const __m512i late = _mm512_and_si512(weight(from + kTileRows), high_bits);
      const __m512 first = _mm512_castsi512_ps(_mm512_slli_epi32(early, 16)), second = _mm512_castsi512_ps(late);
      sums[n] = _mm512_add_ps(sums[n], _mm512_add_ps(second, first));
      if constexpr (kNotes) {
        if (key < n_noted) noted[n].add(hv::V{log(from)}, hv::V{first}, distance[key]);
        if (key + 1 < n_noted) noted[n].add(hv::V{log(from + kTileRows)}, hv::V{second}, distance[key + 1]);
      }
      _mm512_store_si512(words + key / 2 * kTileRows + n * kTileSide, _mm512_or_si512(early, late));
    }
  }
}

/// Scores of `n_keys` keys, padded with -inf to whole tiles, and the maximum of each row.
template <int kWide, class Unit>
[[gnu::always_inline]] inline void score_keys(Unit& unit, const Bf16Tile& tile, const Bf16Block& block, float* scores,
                                              hv::V (&top)[kWide]) {
  const int n_steps = round_up(block.head_dim, 32) / 32;
  const int n_padded = round_up(block.n_keys, 32);
  for (int key = 0; key < n_padded; key += 32) {
    const std::uint32_t* k = block.k + key / kTileSide * n_steps * kTileWords;
    multiply<2, kWide, false>(unit, k, tile.q, n_steps, scores + key * kTileRows);
  }
  const __m512 nothing = _mm512_set1_ps(hv::kNegInf);
  for (int key = block.n_keys; key < n_padded; ++key) {
    for (int n = 0; n < kWide; ++n) _mm512_store_ps(scores + key * kTileRows + n * kTileSide, nothing);
  }
  for (int n = 0; n < kWide; ++n) top[n].raw = nothing;
  for (int key = 0; key < block.n_keys; ++key) {
#pragma clang loop unroll(full)
    for (int n = 0; n < kWide; ++n) {
      top[n].raw = _mm512_max_ps(top[n].raw, _mm512_load_ps(scores + key * kTileRows + n * kTileSide));
    }
  }
}

/// o = o alpha, in the columns where that changes anything.
template <int kWide>
[[gnu::always_inline]] inline void rescale(const hv::V (&alpha)[kWide], int n_dims, float* o) {
#pragma clang loop unroll(full)
  for (int n = 0; n < kWide; ++n) {
    if (_mm512_cmpneq_ps_mask(alpha[n].raw, _mm512_set1_ps(1.0F)) == 0) continue;
    for (int dim = 0; dim < n_dims; ++dim) {
      float* at = o + dim * kTileRows + n * kTileSide;
      _mm512_store_ps(at, _mm512_mul_ps(_mm512_load_ps(at), alpha[n].raw));
    }
  }
}

/// The running maximum takes in the block's; returns it, the old one less it, and what everything before shrinks
/// by.
template <int kWide>
[[gnu::always_inline]] inline void raise_maxima(const hv::V (&top)[kWide], float c, float* maxima,
                                                hv::V (&row_max)[kWide], hv::V (&fall)[kWide], hv::V (&alpha)[kWide]) {
  const hv::F d;
  const hv::V nothing = hwy::HWY_NAMESPACE::Set(d, hv::kNegInf);
#pragma clang loop unroll(full)
  for (int n = 0; n < kWide; ++n) {
    const __m512 old = _mm512_load_ps(maxima + n * kTileSide);
    const __m512 seen = _mm512_max_ps(old, _mm512_mul_ps(top[n].raw, _mm512_set1_ps(c)));
    _mm512_store_ps(maxima + n * kTileSide, seen);
    const __mmask16 blank = _mm512_cmpeq_ps_mask(seen, nothing.raw);  // nothing seen yet: weights 0
    row_max[n].raw = _mm512_mask_mov_ps(seen, blank, _mm512_setzero_ps());
    fall[n].raw = _mm512_sub_ps(old, row_max[n].raw);
    alpha[n] = hv::exp2_nonpositive(d, fall[n]);
  }
}

template <class Unit, int kWide>
[[gnu::noinline]] void visit_columns(const Bf16Tile& tile, const Bf16Block& block, const TileMask& mask, ScoreRule rule,
                                     float* scores) {
  Unit unit;
  hv::V top[kWide], row_max[kWide], fall[kWide], alpha[kWide];
  score_keys<kWide>(unit, tile, block, scores, top);
  const hv::Shaper<hv::F> shaper(hv::F(), rule, mask.bias != nullptr);
  if (mask.visible || !shaper.plain()) {
    hv::shape_scores<kWide>(mask, shaper, block.n_keys, 0, scores, top);
  }
  const float c = shaper.factor();
  raise_maxima<kWide>(top, c, tile.row_max, row_max, fall, alpha);

  __m512 sums[kWide];
  const int n_padded = round_up(block.n_keys, 32);
  float* words = tile.notes ? tile.notes->weights : scores;
  hv::NoteSums<hv::F> noted[kWide];
  if (tile.notes && tile.notes->log_sum) {
    weigh_pairs<true, kWide>(n_padded, c, row_max, scores, words, tile.notes->distance, block.n_keys, sums, noted);
  } else {
    weigh_pairs<false, kWide>(n_padded, c, row_max, scores, words, nullptr, 0, sums, noted);
  }
  if (tile.notes) {
    for (int n = 0; n < kWide; ++n) {
      const int row = n * kTileSide;
      _mm512_store_ps(tile.notes->factor + row, _mm512_set1_ps(c));
      hv::join_notes(*tile.notes, row, fall[n], alpha[n], hv::V{_mm512_load_ps(tile.row_sum + row)}, hv::V{sums[n]},
                     noted[n]);
    }
  }
  for (int n = 0; n < kWide; ++n) {
    float* at = tile.row_sum + n * kTileSide;
    _mm512_store_ps(at, _mm512_fmadd_ps(_mm512_load_ps(at), alpha[n].raw, sums[n]));
  }

  const int n_dims = round_up(block.v_dim, kTileSide);
  rescale<kWide>(alpha, n_dims, tile.o);
  const auto* weights = reinterpret_cast<const std::uint32_t*>(words);
  const int n_steps = n_padded / 32;
  int dim = 0;
  for (; dim + 2 * kTileSide <= n_dims; dim += 2 * kTileSide) {
    const std::uint32_t* v = block.v + dim / kTileSide * n_steps * kTileWords;
    multiply<2, kWide, true>(unit, v, weights, n_steps, tile.o + dim * kTileRows);
  }
  if (dim < n_dims) {
    const std::uint32_t* v = block.v + dim / kTileSide * n_steps * kTileWords;
    multiply<1, kWide, true>(unit, v, weights, n_steps, tile.o + dim * kTileRows);
  }
}

template <class Unit>
void visit_on(const Bf16Tile& tile, const Bf16Block& block, const TileMask& mask, ScoreRule rule, float* scores) {
  const int n_vectors = (tile.n_rows + kTileSide - 1) / kTileSide;
  if (n_vectors == 3) visit_columns<Unit, 3>(tile, block, mask, rule, scores);
  if (n_vectors == 2) visit_columns<Unit, 2>(tile, block, mask, rule, scores);
  if (n_vectors == 1) visit_columns<Unit, 1>(tile, block, mask, rule, scores);
}

}  // namespace
}  // namespace saccade::kernel
