// The visit kernel in bf16 tiles, for any unit of tile_units-inl.h. Included by bf16.cc alone.
//
// Rows lie in lanes here too: scores are K Q^T, tiles of 16 keys x 16 rows, and o is V^T W^T, tiles of 16 dimensions x
// 16 rows. Both left operands lie in tiles ready to load, both right ones as words of two dimensions or two keys.

#pragma once

#include <algorithm>
#include <bit>
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
      fall[n].raw = sums[n] = logs[n] = top[n] = _mm512_setzero_ps();
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
  __m512 logs[kWide];               ///< of weight times its logarithm, if wanted; while trusted, of weight times score
  __m512 top[kWide];                ///< largest logarithm of a weight, in steps and as kOne says, if trusted
};

/// What notes want of each score beside its weight.
struct Wanted {
  bool logs, best;
};

constexpr int kTogether = 8;

/// Bits of a row's number in a listed word.
constexpr int kRowBits = 6;
static_assert(kTileRows <= 1 << kRowBits && kMostBf16Blocks * kBlockKeys << kRowBits <= 1 << 16);

inline bool wants_best(const Bf16Notes* notes) { return notes && notes->best.best; }

/// Scores to words of the weights of two keys; adds the weights up. `n_keys`: a multiple of kTogether.
/// kTrusted: returns whether all scores are numbers, and none is more than kMostAbove above its row's maximum; if not,
/// what was written is of no use. Otherwise any score will do, and NaN comes to the sum.
/// `floors`, for kWanted.best: logarithms as kOne says, [kWide]; sets bit kWide i + n of `hits` where one of the i-th
/// eight keys exceeds them in column n.
template <bool kTrusted, Wanted kWanted, int kWide, class Unit>
[[gnu::always_inline]] inline bool weigh_pairs(int n_keys, const float* scores, std::uint32_t* words,
                                               const __m512i* floors, unsigned& hits, Weighing<kWide>& to) {
  const __m512 factor = _mm512_set1_ps(to.factor), steps = _mm512_set1_ps(to.factor * kSteps);
  const typename Unit::Dips dips;
  __m512i top[kWide], most[kWide];
  __mmask16 wild[kWide];
  for (int n = 0; n < kWide; ++n) top[n] = _mm512_castps_si512(to.top[n]), wild[n] = 0;
  const auto weigh_pair = [&](int key, int n) __attribute__((always_inline)) {
    const float* from = scores + key * kTileRows + n * kTileSide;
    const __m512 early = _mm512_fmadd_ps(_mm512_load_ps(from), steps, to.offset[n]);
    const __m512 late = _mm512_fmadd_ps(_mm512_load_ps(from + kTileRows), steps, to.offset[n]);
    if constexpr (kTrusted) {  // as whole numbers NaN, inf and what is negative exceed all else
      most[n] = _mm512_max_epu32(most[n], _mm512_max_epu32(_mm512_castps_si512(early), _mm512_castps_si512(late)));
    } else {
      wild[n] |= _mm512_cmp_ps_mask(early, late, _CMP_UNORD_Q);
    }
    const auto count = [](__m512 log) { return _mm512_castps_si512(_mm512_max_ps(_mm512_set1_ps(kZero), log)); };
    const __m512i counts = _mm512_mask_blend_epi16(0xAAAAAAAA, count(early), _mm512_slli_epi32(count(late), 16));
    const __m512i weights = _mm512_sub_epi16(counts, dips.of(counts));
    if constexpr (kWanted.logs) {
      const auto note = [&](const float* score, __m512i weight) {
        to.sums[n] = _mm512_add_ps(to.sums[n], _mm512_castsi512_ps(weight));  // the order of add_both
        const __m512 log = kTrusted ? _mm512_load_ps(score)
                                    : _mm512_max_ps(_mm512_set1_ps(-127.0F),
                                                    _mm512_fmsub_ps(_mm512_load_ps(score), factor, to.row_max[n].raw));
        to.logs[n] = _mm512_fmadd_ps(_mm512_castsi512_ps(weight), log, to.logs[n]);
      };
      note(from + kTileRows, _mm512_and_si512(weights, _mm512_set1_epi32(-65536)));
      note(from, _mm512_slli_epi32(weights, 16));
    } else {
      to.sums[n] = Unit::add_both(to.sums[n], weights);
    }
    _mm512_store_si512(words + key / 2 * kTileRows + n * kTileSide, weights);
  };
  for (int first = 0; first < n_keys; first += kTogether) {
    for (int n = 0; n < kWide; ++n) most[n] = _mm512_setzero_si512();
    for (int key = first; key < first + kTogether; key += 2) {
      for_each_column<kWide>([&](int n) __attribute__((always_inline)) { weigh_pair(key, n); });
    }
    for (int n = 0; n < kWide && kTrusted; ++n) {
      top[n] = _mm512_max_epu32(top[n], most[n]);
      if constexpr (kWanted.best) {
        const bool hit = _mm512_cmpgt_epu32_mask(most[n], floors[n]) != 0;
        hits |= static_cast<unsigned>(hit) << (first / kTogether * kWide + n);
      }
    }
  }
  bool fine = true;
  for (int n = 0; n < kWide; ++n) {
    if constexpr (kTrusted) {
      const __m512i highest = _mm512_castps_si512(_mm512_set1_ps(kOne + kMostAbove));
      fine = fine && _mm512_cmpgt_epu32_mask(top[n], highest) == 0;
      to.top[n] = _mm512_castsi512_ps(top[n]);
    } else {
      to.sums[n] = _mm512_mask_mov_ps(to.sums[n], wild[n], _mm512_set1_ps(std::numeric_limits<float>::quiet_NaN()));
    }
  }
  return fine;
}

/// The same, with what the tile's notes want.
template <bool kTrusted, int kWide, class Unit>
[[gnu::always_inline]] inline bool weigh(const Bf16Notes* notes, int n_keys, const float* scores, std::uint32_t* words,
                                         const __m512i* floors, unsigned& hits, Weighing<kWide>& to) {
  const auto with = [&]<Wanted kWanted>() __attribute__((always_inline)) {
    return weigh_pairs<kTrusted, kWanted, kWide, Unit>(n_keys, scores, words, floors, hits, to);
  };
  const bool best = kTrusted && wants_best(notes);
  if (notes && notes->log_sum) {
    return best ? with.template operator()<Wanted{true, kTrusted}>() : with.template operator()<Wanted{true, false}>();
  }
  return best ? with.template operator()<Wanted{false, kTrusted}>() : with.template operator()<Wanted{false, false}>();
}

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
  const std::uint32_t *v, *marks, *words;
  int n_steps;
};

/// o += V^T W^T of all that waits: o comes and goes once for them. `values`: which of its members V^T is.
template <int kWide, class Unit>
[[gnu::always_inline]] inline void mix(Unit& unit, std::span<const Weighed> waiting,
                                       const std::uint32_t* Weighed::*values, int v_dim, float* o) {
  const auto dims = [&]<int kHigh>(std::integral_constant<int, kHigh>, int dim) {
    for_each_sum<kHigh, kWide>(
        [&]<int i>(int row, int column) { unit.template load_sum<i>(place_of(o + dim * kTileRows, row, column)); });
    for (const Weighed& one : waiting) {
      const std::uint32_t* left = one.*values + dim / kTileSide * one.n_steps * kTileWords;
      add_products<kHigh, kWide>(unit, left, one.words, one.n_steps);
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
/// scratch, where a score exceeds them by too much.
///
/// 32 keys stay in the first-level cache between their store, a slow one where it has to fetch its line, and their
/// weights; and the matrix unit, which falls asleep after some 300 ns and takes 400 to wake, stays awake.
template <int kWide, class Unit>
[[gnu::always_inline]] inline bool weigh_as_is(Unit& unit, const Bf16Tile& tile, const Bf16Block& block, int number,
                                               float* scores, std::uint32_t* words, Weighing<kWide>& to) {
  if (block.n_keys % kStripKeys != 0) return false;
#pragma clang loop unroll(full)
  for (int n = 0; n < kWide; ++n) {
    const __m512 maximum = _mm512_load_ps(tile.row_max + n * kTileSide);
    const __mmask16 none = _mm512_cmpeq_ps_mask(maximum, _mm512_set1_ps(hv::kNegInf));
    if ((none | _mm512_cmpneq_ps_mask(to.take_maximum(n, maximum), maximum)) != 0) return false;  // or not in steps
  }
  Bf16Notes* const notes = tile.notes;
  __m512i floors[kWide];
  find_floors<kWide>(notes, notes && notes->ties[number], to, floors);
  const bool stay = notes && notes->scores_stay;
  std::uint32_t* listed = wants_best(notes) ? notes->words : nullptr;
  for (int key = 0; key < block.n_keys; key += kStripKeys) {
    float* strip = stay ? scores + key * kTileRows : scores;
    score_strip<kWide>(unit, tile, block, key, strip);
    std::uint32_t* to_words = words + key / 2 * kTileRows;
    unsigned hits = 0;
    if (!weigh<true, kWide, Unit>(notes, kStripKeys, strip, to_words, floors, hits, to)) return false;
    if (hits != 0) listed = list_hits<kWide>(hits, strip, number * kBlockKeys + key, floors, to, listed);
  }
  if (listed) keep_listed(listed, tile.row_max, *notes);
  return true;
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
  if (tile.notes) rescale<kWide>(to.alpha, tile.notes->n_marks, tile.notes->marks);
  unsigned no_hits = 0;
  weigh<false, kWide, Unit>(tile.notes, round_up(block.n_keys, kStripKeys), scores, words, nullptr, no_hits, to);
}

/// Keeps the best of a block whose scores are all there.
inline void keep_best_of(const Bf16Tile& tile, const Bf16Block& block, int number, const float* scores) {
  const Bf16Notes& notes = *tile.notes;
  ListedScore* const listed = notes.listed;
  const int n = list_best({.scores = scores, .factor = notes.factor, .n_keys = block.n_keys, .n_rows = tile.n_rows},
                          notes.best.n_best, notes.best.floor, listed);
  keep_best(listed, n, notes.positions + number * kBlockKeys, notes.best);
}

/// The block joins the running sums of its rows.
template <int kWide>
[[gnu::always_inline]] inline void join(const Bf16Tile& tile, const Weighing<kWide>& of_block) {
  for (int n = 0; n < kWide; ++n) {
    float* at = tile.row_sum + n * kTileSide;
    _mm512_store_ps(at, _mm512_fmadd_ps(_mm512_load_ps(at), of_block.alpha[n].raw, of_block.sums[n]));
  }
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

template <class Unit, int kWide>
[[gnu::noinline]] void visit_columns(const Bf16Tile& tile, std::span<const Bf16Block> blocks, const TileMask& mask,
                                     ScoreRule rule, float* scratch) {
  Unit unit;
  const hv::Shaper<hv::F> shaper(hv::F(), rule, mask.bias != nullptr);
  const bool plain = !mask.visible && shaper.plain();
  Bf16Notes* const notes = tile.notes;
  if (notes) clear(shaper.factor(), *notes);
  Weighed waiting[kMostBf16Blocks];
  std::size_t n_waiting = 0;
  const auto mix_all = [&](int v_dim) {
    const std::span<const Weighed> all(waiting, n_waiting);
    mix<kWide>(unit, all, &Weighed::v, v_dim, tile.o);
    if (notes) mix<kWide>(unit, all, &Weighed::marks, notes->n_marks, notes->marks);
    n_waiting = 0;
  };
  auto* words = reinterpret_cast<std::uint32_t*>(scratch + kBlockKeys * kTileRows);
  for (int number = 0; number < static_cast<int>(blocks.size()); ++number) {
    const Bf16Block& block = blocks[static_cast<std::size_t>(number)];
    Weighing<kWide> weighing(shaper.factor());
    if (plain && weigh_as_is<kWide>(unit, tile, block, number, scratch, words, weighing)) {
      if (notes) note_as_is<kWide>(*notes, weighing);
    } else {
      mix_all(block.v_dim);
      weigh_anew<kWide>(unit, tile, block, mask, shaper, scratch, words, weighing);
      if (wants_best(notes)) keep_best_of(tile, block, number, scratch);
    }
    if (notes) join_notes<kWide>(tile, weighing);
    join<kWide>(tile, weighing);
    const int n_steps = round_up(block.n_keys, kStripKeys) / kStripKeys;
    waiting[n_waiting++] = {block.v, block.marks, words, n_steps};
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
