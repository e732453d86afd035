// From scores to the weights of a block in bf16, and what is summed of them. Included by bf16-inl.h alone.

#pragma once

#include <immintrin.h>

#include <limits>

#include "saccade/kernel/tile_units-inl.h"
#include "saccade/kernel/visit-inl.h"

namespace saccade::kernel {
namespace {

namespace hv = HWY_NAMESPACE;

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
/// `beside`: called before every fourth key, for what the matrix unit can do meanwhile. Vectors and tile products
/// overlap if they are mixed finely: the CPU looks some 100 vector instructions ahead.
template <bool kTrusted, Wanted kWanted, int kWide, class Unit, class Beside>
[[gnu::always_inline]] inline bool weigh_pairs(int n_keys, const float* scores, std::uint32_t* words,
                                               const __m512i* floors, unsigned& hits, Weighing<kWide>& to,
                                               const Beside& beside) {
  const __m512 factor = _mm512_set1_ps(to.factor), steps = _mm512_set1_ps(to.factor * kSteps);
  const typename Unit::Dips dips;
  __m512i top[kWide], most[kWide];
  __mmask16 wild[kWide];
  // Apart from `to`, which `beside` makes the compiler keep in memory.
  __m512 sums[kWide], logs[kWide], offset[kWide];
  for (int n = 0; n < kWide; ++n) {
    top[n] = _mm512_castps_si512(to.top[n]), wild[n] = 0;
    sums[n] = to.sums[n], logs[n] = to.logs[n], offset[n] = to.offset[n];
  }
  const auto weigh_pair = [&](int key, int n) __attribute__((always_inline)) {
    const float* from = scores + key * kTileRows + n * kTileSide;
    const __m512 early = _mm512_fmadd_ps(_mm512_load_ps(from), steps, offset[n]);
    const __m512 late = _mm512_fmadd_ps(_mm512_load_ps(from + kTileRows), steps, offset[n]);
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
        sums[n] = _mm512_add_ps(sums[n], _mm512_castsi512_ps(weight));  // the order of add_both
        const __m512 log = kTrusted ? _mm512_load_ps(score)
                                    : _mm512_max_ps(_mm512_set1_ps(-127.0F),
                                                    _mm512_fmsub_ps(_mm512_load_ps(score), factor, to.row_max[n].raw));
        logs[n] = _mm512_fmadd_ps(_mm512_castsi512_ps(weight), log, logs[n]);
      };
      note(from + kTileRows, _mm512_and_si512(weights, _mm512_set1_epi32(-65536)));
      note(from, _mm512_slli_epi32(weights, 16));
    } else {
      sums[n] = Unit::add_both(sums[n], weights);
    }
    _mm512_store_si512(words + key / 2 * kTileRows + n * kTileSide, weights);
  };
  for (int first = 0; first < n_keys; first += kTogether) {
    for (int n = 0; n < kWide; ++n) most[n] = _mm512_setzero_si512();
#pragma clang loop unroll(full)
    for (int key = first; key < first + kTogether; key += 2) {
      if (key % 4 == 0) beside();
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
    to.sums[n] = sums[n], to.logs[n] = logs[n];
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
template <bool kTrusted, int kWide, class Unit, class Beside>
[[gnu::always_inline]] inline bool weigh(const Bf16Notes* notes, int n_keys, const float* scores, std::uint32_t* words,
                                         const __m512i* floors, unsigned& hits, Weighing<kWide>& to,
                                         const Beside& beside) {
  const auto with = [&]<Wanted kWanted>() __attribute__((always_inline)) {
    return weigh_pairs<kTrusted, kWanted, kWide, Unit>(n_keys, scores, words, floors, hits, to, beside);
  };
  const bool best = kTrusted && wants_best(notes);
  if (notes && notes->log_sum) {
    return best ? with.template operator()<Wanted{true, kTrusted}>() : with.template operator()<Wanted{true, false}>();
  }
  return best ? with.template operator()<Wanted{false, kTrusted}>() : with.template operator()<Wanted{false, false}>();
}

}  // namespace
}  // namespace saccade::kernel
