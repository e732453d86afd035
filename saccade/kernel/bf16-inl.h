// The visit kernel in bf16 tiles, for any unit of tile_units-inl.h. Included by bf16.cc alone.
//
// Rows lie in lanes here too: scores are K Q^T, tiles of 16 keys x 16 rows, and o is V^T W^T, tiles of 16 dimensions x
// 16 rows. Both left operands lie in tiles ready to load, both right ones as words of two dimensions or two keys.

#pragma once

#include <algorithm>
#include <limits>
#include <span>
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
  unit.load_passing_left(left);
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

/// Columns of rows, written out: sums that live in registers do not stand a loop.
template <int kWide, class Body>
[[gnu::always_inline]] inline void for_each_column(const Body& body) {
  body(0);
  if constexpr (kWide > 1) body(1);
  if constexpr (kWide > 2) body(2);
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

/// sums [kHigh, kWide] += left right, over n_steps. A right tile is loaded once for each of the kHigh left ones: four
/// loads of 8 cycles beside three products of 16, hidden by them even where they come from the second-level cache.
template <int kHigh, int kWide, class Unit>
[[gnu::always_inline]] inline void add_products(Unit& unit, const std::uint32_t* left, const std::uint32_t* right,
                                                int n_steps) {
  for (int step = 0; step < n_steps; ++step) {
    multiply_row<0, kWide>(unit, left + step * kTileWords, right + step * kTileSide * kTileRows);
    if constexpr (kHigh > 1) {
      multiply_row<3, kWide>(unit, left + (n_steps + step) * kTileWords, right + step * kTileSide * kTileRows);
    }
  }
}

/// Where the sum in this row and column of sums lies in a [32, kTileRows] matrix.
inline float* place_of(float* out, int row, int column) {
  return out + row * kTileSide * kTileRows + column * kTileSide;
}

/// Logarithms of weights, in steps of 1/128, as floats whose low 16 bits count the steps from -127 on: kOne is weight
/// 1, kZero and below are 0. Such a count, its lower 7 bits the fraction, is a bf16 but for that fraction f, which is
/// to be 2^f - 1: a table of what to take off it replaces the exponential.
constexpr float kSteps = 128.0F, kZero = 0x1.8p23F, kOne = kZero + 127 * kSteps;
/// How far, in steps, a score may exceed the maximum that its row's weights are relative to. Floats weigh 2^8 as well
/// as 1; so maxima hardly ever rise after a row's first blocks, and o is hardly ever multiplied.
constexpr float kMostAbove = 8 * kSteps;

/// What a block's weights are relative to, and what is summed of them, in kWide columns of rows.
template <int kWide>
struct Weighing {
  explicit Weighing(float score_factor) : factor(score_factor) {
    for (int n = 0; n < kWide; ++n) {
      fall[n].raw = sums[n] = top[n] = _mm512_setzero_ps();
      alpha[n].raw = _mm512_set1_ps(1.0F);
    }
  }
  /// Maxima come in whole steps, or as near to them as floats are: returns the nearest.
  __m512 take_maximum(int n, __m512 maximum) {
    offset[n] = _mm512_fnmadd_ps(maximum, _mm512_set1_ps(kSteps), _mm512_set1_ps(kOne));
    return row_max[n].raw = _mm512_mul_ps(_mm512_sub_ps(_mm512_set1_ps(kOne), offset[n]), _mm512_set1_ps(1 / kSteps));
  }

  float factor;                     ///< a score times this is in units of log2
  hv::V row_max[kWide];             ///< 0 where nothing was seen
  __m512 offset[kWide];             ///< kOne less row_max in steps
  hv::V fall[kWide], alpha[kWide];  ///< by which the maxima rose, negative; what that leaves of a weight
  __m512 sums[kWide];               ///< of the weights as they were rounded
  __m512 top[kWide];                ///< largest logarithm of a weight, in steps and as kOne says, if trusted
  hv::NoteSums<hv::F> noted[kWide];
};

/// Scores to words of the weights of two keys; adds the weights up. `n_keys`: even, of which the notes count `n_noted`.
/// kTrusted: returns whether all scores are numbers, and none is more than kMostAbove above its row's maximum; if not,
/// what was written is of no use. Otherwise any score will do, and NaN comes to the sum.
template <bool kTrusted, bool kNotes, int kWide, class Unit>
[[gnu::always_inline]] inline bool weigh_pairs(int n_keys, const float* scores, std::uint32_t* words,
                                               const float* distance, int n_noted, Weighing<kWide>& to) {
  const __m512 factor = _mm512_set1_ps(to.factor), steps = _mm512_set1_ps(to.factor * kSteps);
  const typename Unit::Dips dips;
  __m512i top[kWide];
  __mmask16 wild[kWide];
  for (int n = 0; n < kWide; ++n) top[n] = _mm512_castps_si512(to.top[n]), wild[n] = 0;
  for (int key = 0; key < n_keys; key += 2) {
    for_each_column<kWide>([&](int n) __attribute__((always_inline)) {
      const float* from = scores + key * kTileRows + n * kTileSide;
      const __m512 early = _mm512_fmadd_ps(_mm512_load_ps(from), steps, to.offset[n]);
      const __m512 late = _mm512_fmadd_ps(_mm512_load_ps(from + kTileRows), steps, to.offset[n]);
      if constexpr (kTrusted) {  // as whole numbers NaN, inf and what is negative exceed all else
        top[n] = _mm512_max_epu32(top[n], _mm512_max_epu32(_mm512_castps_si512(early), _mm512_castps_si512(late)));
      } else {
        wild[n] |= _mm512_cmp_ps_mask(early, late, _CMP_UNORD_Q);
      }
      const auto count = [](__m512 log) { return _mm512_castps_si512(_mm512_max_ps(_mm512_set1_ps(kZero), log)); };
      const __m512i counts = _mm512_mask_blend_epi16(0xAAAAAAAA, count(early), _mm512_slli_epi32(count(late), 16));
      const __m512i weights = _mm512_sub_epi16(counts, dips.of(counts));
      to.sums[n] = Unit::add_both(to.sums[n], weights);
      if constexpr (kNotes) {
        const auto note = [&](int at, __m512i weight) {
          const float* score = from + at * kTileRows;
          const __m512 log = _mm512_fmsub_ps(_mm512_load_ps(score), factor, to.row_max[n].raw);
          if (key + at < n_noted) to.noted[n].add(hv::V{log}, hv::V{_mm512_castsi512_ps(weight)}, distance[key + at]);
        };
        note(0, _mm512_slli_epi32(weights, 16));
        note(1, _mm512_and_si512(weights, _mm512_set1_epi32(-65536)));
      }
      _mm512_store_si512(words + key / 2 * kTileRows + n * kTileSide, weights);
    });
  }
  bool fine = true;
  for (int n = 0; n < kWide; ++n) {
    if constexpr (kTrusted) {
      const __m512i most = _mm512_castps_si512(_mm512_set1_ps(kOne + kMostAbove));
      fine = fine && _mm512_cmpgt_epu32_mask(top[n], most) == 0;
      to.top[n] = _mm512_castsi512_ps(top[n]);
    } else {
      to.sums[n] = _mm512_mask_mov_ps(to.sums[n], wild[n], _mm512_set1_ps(std::numeric_limits<float>::quiet_NaN()));
    }
  }
  return fine;
}

/// The same, with what the tile's notes want of keys from `first` on.
template <bool kTrusted, int kWide, class Unit>
[[gnu::always_inline]] inline bool weigh(const Notes* notes, int first, int n_keys, int n_there, const float* scores,
                                         std::uint32_t* words, Weighing<kWide>& to) {
  if (notes && notes->log_sum) {
    return weigh_pairs<kTrusted, true, kWide, Unit>(n_keys, scores, words, notes->distance + first, n_there, to);
  }
  return weigh_pairs<kTrusted, false, kWide, Unit>(n_keys, scores, words, nullptr, 0, to);
}

constexpr int kStripKeys = 32;

/// Scores of 32 keys from `key` on.
template <int kWide, class Unit>
[[gnu::always_inline]] inline void score_strip(Unit& unit, const Bf16Tile& tile, const Bf16Block& block, int key,
                                               float* scores) {
  const int n_steps = round_up(block.head_dim, 32) / 32;
  for_each_sum<2, kWide>([&]<int i>(int, int) { unit.template zero_sum<i>(); });
  add_products<2, kWide>(unit, block.k + key / kTileSide * n_steps * kTileWords, tile.q, n_steps);
  for_each_sum<2, kWide>(
      [&]<int i>(int row, int column) { unit.template store_sum<i>(place_of(scores, row, column)); });
}

/// Puts -inf in the place of scores of keys that are not there, and returns the largest of each row.
template <int kWide>
[[gnu::always_inline]] inline void find_tops(int n_there, float* scores, hv::V (&top)[kWide]) {
  for (int n = n_there * kWide; n < kStripKeys * kWide; ++n) {
    _mm512_store_ps(scores + n / kWide * kTileRows + n % kWide * kTileSide, _mm512_set1_ps(hv::kNegInf));
  }
  for (int at = 0; at < n_there; ++at) {
#pragma clang loop unroll(full)
    for (int n = 0; n < kWide; ++n) {
      top[n].raw = _mm512_max_ps(top[n].raw, _mm512_load_ps(scores + at * kTileRows + n * kTileSide));
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

/// The running maximum takes in the block's.
template <int kWide>
[[gnu::always_inline]] inline void raise_maxima(const hv::V (&top)[kWide], float* maxima, Weighing<kWide>& to) {
  const hv::F d;
  const hv::V nothing = hwy::HWY_NAMESPACE::Set(d, hv::kNegInf);
#pragma clang loop unroll(full)
  for (int n = 0; n < kWide; ++n) {
    const __m512 old = _mm512_load_ps(maxima + n * kTileSide);
    const __m512 seen = _mm512_max_ps(old, _mm512_mul_ps(top[n].raw, _mm512_set1_ps(to.factor)));
    const __mmask16 blank = _mm512_cmpeq_ps_mask(seen, nothing.raw);  // nothing seen yet: weights 0
    const __m512 taken = to.take_maximum(n, _mm512_mask_mov_ps(seen, blank, _mm512_setzero_ps()));
    _mm512_store_ps(maxima + n * kTileSide, _mm512_mask_mov_ps(taken, blank, nothing.raw));
    to.fall[n].raw = _mm512_sub_ps(old, to.row_max[n].raw);
    to.alpha[n] = hv::exp2_nonpositive(d, to.fall[n]);
  }
}

/// A block's weights that still are to be multiplied by its values.
struct Weighed {
  const std::uint32_t *v, *words;
  int n_steps;
};

/// o += V^T W^T of all that waits: o comes and goes once for them.
template <int kWide, class Unit>
[[gnu::always_inline]] inline void mix(Unit& unit, std::span<const Weighed> waiting, int v_dim, float* o) {
  const auto dims = [&]<int kHigh>(std::integral_constant<int, kHigh>, int dim) {
    for_each_sum<kHigh, kWide>(
        [&]<int i>(int row, int column) { unit.template load_sum<i>(place_of(o + dim * kTileRows, row, column)); });
    for (const Weighed& one : waiting) {
      add_products<kHigh, kWide>(unit, one.v + dim / kTileSide * one.n_steps * kTileWords, one.words, one.n_steps);
    }
    for_each_sum<kHigh, kWide>(
        [&]<int i>(int row, int column) { unit.template store_sum<i>(place_of(o + dim * kTileRows, row, column)); });
  };
  if (waiting.empty()) return;
  const int n_dims = round_up(v_dim, kTileSide);
  int dim = 0;
  for (; dim + 2 * kTileSide <= n_dims; dim += 2 * kTileSide) dims(std::integral_constant<int, 2>{}, dim);
  if (dim < n_dims) dims(std::integral_constant<int, 1>{}, dim);
}

/// Weighs a block that all rows see, 32 keys at a time, relative to the maxima so far. False, with nothing changed but
/// scratch, where a score exceeds them by too much. The scores of the whole block stay if notes ask for them, else of
/// 32 keys.
///
/// 32 keys stay in the first-level cache between their store, a slow one where it has to fetch its line, and their
/// weights; and the matrix unit, which falls asleep after some 300 ns and takes 400 to wake, stays awake.
template <int kWide, class Unit>
[[gnu::always_inline]] inline bool weigh_as_is(Unit& unit, const Bf16Tile& tile, const Bf16Block& block, float* scores,
                                               std::uint32_t* words, Weighing<kWide>& to) {
  if (block.n_keys % kStripKeys != 0) return false;
#pragma clang loop unroll(full)
  for (int n = 0; n < kWide; ++n) {
    const __m512 maximum = _mm512_load_ps(tile.row_max + n * kTileSide);
    if (_mm512_cmpneq_ps_mask(to.take_maximum(n, maximum), maximum) != 0) return false;  // none yet, or not in steps
  }
  const bool stay = tile.notes && tile.notes->weights != scores;
  for (int key = 0; key < block.n_keys; key += kStripKeys) {
    float* strip = stay ? scores + key * kTileRows : scores;
    score_strip<kWide>(unit, tile, block, key, strip);
    std::uint32_t* to_words = words + key / 2 * kTileRows;
    if (!weigh<true, kWide, Unit>(tile.notes, key, kStripKeys, kStripKeys, strip, to_words, to)) return false;
  }
  for (int n = 0; n < kWide && tile.row_top; ++n) {
    const __m512 above = _mm512_mul_ps(_mm512_sub_ps(to.top[n], _mm512_set1_ps(kOne)), _mm512_set1_ps(1 / kSteps));
    float* at = tile.row_top + n * kTileSide;
    _mm512_store_ps(at, _mm512_max_ps(_mm512_load_ps(at), _mm512_add_ps(to.row_max[n].raw, above)));
  }
  return true;
}

/// Weighs a block relative to maxima that take in its own, and multiplies o by what that leaves of it.
template <int kWide, class Unit>
[[gnu::always_inline]] inline void weigh_anew(Unit& unit, const Bf16Tile& tile, const Bf16Block& block,
                                              const TileMask& mask, const hv::Shaper<hv::F>& shaper, float* scores,
                                              std::uint32_t* words, Weighing<kWide>& to) {
  hv::V top[kWide];
  for (hv::V& of_row : top) of_row.raw = _mm512_set1_ps(hv::kNegInf);
  for (int key = 0; key < block.n_keys; key += kStripKeys) {
    float* strip = scores + key * kTileRows;
    score_strip<kWide>(unit, tile, block, key, strip);
    find_tops<kWide>(std::min(kStripKeys, block.n_keys - key), strip, top);
  }
  if (mask.visible || !shaper.plain()) hv::shape_scores<kWide>(mask, shaper, block.n_keys, 0, scores, top);
  to = Weighing<kWide>(to.factor);  // a strip or two may have been weighed as they were
  raise_maxima<kWide>(top, tile.row_max, to);
  rescale<kWide>(to.alpha, round_up(block.v_dim, kTileSide), tile.o);
  weigh<false, kWide, Unit>(tile.notes, 0, round_up(block.n_keys, kStripKeys), block.n_keys, scores, words, to);
}

/// The block joins the running sums, and the notes, of its rows.
template <int kWide>
[[gnu::always_inline]] inline void join(const Bf16Tile& tile, Weighing<kWide>& of_block) {
  for (int n = 0; n < kWide; ++n) {
    const int row = n * kTileSide;
    float* at = tile.row_sum + row;
    if (tile.notes) {
      _mm512_store_ps(tile.notes->factor + row, _mm512_set1_ps(of_block.factor));
      hv::join_notes(*tile.notes, row, of_block.fall[n], of_block.alpha[n], hv::V{_mm512_load_ps(at)},
                     hv::V{of_block.sums[n]}, of_block.noted[n]);
    }
    _mm512_store_ps(at, _mm512_fmadd_ps(_mm512_load_ps(at), of_block.alpha[n].raw, of_block.sums[n]));
  }
}

template <class Unit, int kWide>
[[gnu::noinline]] void visit_columns(const Bf16Tile& tile, std::span<const Bf16Block> blocks, const TileMask& mask,
                                     ScoreRule rule, float* scratch) {
  Unit unit;
  const hv::Shaper<hv::F> shaper(hv::F(), rule, mask.bias != nullptr);
  const bool plain = !mask.visible && shaper.plain();
  Weighed waiting[kMostBf16Blocks];
  std::size_t n_waiting = 0;
  const auto mix_all = [&](int v_dim) {
    mix<kWide>(unit, std::span<const Weighed>(waiting, n_waiting), v_dim, tile.o);
    n_waiting = 0;
  };
  auto* words = reinterpret_cast<std::uint32_t*>(scratch + kBlockKeys * kTileRows);
  for (const Bf16Block& block : blocks) {
    Weighing<kWide> weighing(shaper.factor());
    if (!plain || !weigh_as_is<kWide>(unit, tile, block, scratch, words, weighing)) {
      mix_all(block.v_dim);
      weigh_anew<kWide>(unit, tile, block, mask, shaper, scratch, words, weighing);
    }
    join<kWide>(tile, weighing);
    const int n_steps = round_up(block.n_keys, kStripKeys) / kStripKeys;
    waiting[n_waiting++] = {block.v, words, n_steps};
    words += n_steps * kTileSide * kTileRows;
  }
  mix_all(blocks[0].v_dim);
}

template <class Unit>
void visit_on(const Bf16Tile& tile, std::span<const Bf16Block> blocks, const TileMask& mask, ScoreRule rule,
              float* scratch) {
  const int n_vectors = (tile.n_rows + kTileSide - 1) / kTileSide;
  if (n_vectors == 3) visit_columns<Unit, 3>(tile, blocks, mask, rule, scratch);
  if (n_vectors == 2) visit_columns<Unit, 2>(tile, blocks, mask, rule, scratch);
  if (n_vectors == 1) visit_columns<Unit, 1>(tile, blocks, mask, rule, scratch);
}

}  // namespace
}  // namespace saccade::kernel
