// Compiled for AVX-512 VNNI alone (see the root CMakeLists.txt); nothing here runs before has_fixed() said yes.

#include "saccade/kernel/fixed.h"

#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace saccade::kernel {
namespace {

constexpr int kLanes = 16;
constexpr int kHigh = 8;  // 8 x 3 accumulators of 32 registers, as in visit-inl.h
constexpr int kRuns = kBlockKeys / kRunKeys;
static_assert(kRunKeys == kHigh);
constexpr float kGuess = 2.0F;  // a run's weight as a multiple of its largest, where there is nothing to go by
constexpr float kNegInf = -std::numeric_limits<float>::infinity();
constexpr float kLeastLog = -127.0F;  // of what has no weight at all: 0 x -inf would be NaN

/// 2^x for x <= 12, within 2.6e-6 of itself: a step of a weight is 100 times that. -inf gives 0.
inline __m512 exp2_of(__m512 x) {
  const __m512 f = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);  // x - floor(x)
  // 2^f on [0, 1], least relative error
  __m512 p = _mm512_set1_ps(0.013534167781472206F);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.052011460065841675F));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.2414427548646927F));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.6930038332939148F));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0000026226043701F));
  return _mm512_scalef_ps(p, x);  // p 2^floor(x)
}

/// sum[i][n] = words of `left` (kHigh to a step, broadcast) times words of `right` (kWide vectors to a step).
template <int kLeft, int kWide>
[[gnu::always_inline]] inline void dot_words(const std::int32_t* left, std::ptrdiff_t left_row,
                                             std::ptrdiff_t left_step, const std::int32_t* right, int n_steps,
                                             __m512i (&sum)[kLeft][kWide]) {
#pragma clang loop unroll(full)
  for (int i = 0; i < kLeft; ++i) {
#pragma clang loop unroll(full)
    for (int n = 0; n < kWide; ++n) sum[i][n] = _mm512_setzero_si512();
  }
  for (int step = 0; step < n_steps; ++step) {
    __m512i rs[kWide];
#pragma clang loop unroll(full)
    for (int n = 0; n < kWide; ++n) rs[n] = _mm512_load_si512(right + step * kTileRows + n * kLanes);
#pragma clang loop unroll(full)
    for (int i = 0; i < kLeft; ++i) {
      const __m512i word = _mm512_set1_epi32(left[i * left_row + step * left_step]);
#pragma clang loop unroll(full)
      for (int n = 0; n < kWide; ++n) sum[i][n] = _mm512_dpwssd_epi32(sum[i][n], rs[n], word);
    }
  }
}

template <int kKeys, int kWide>
[[gnu::always_inline]] inline void score_keys(const FixedBlock& block, int key, const std::int32_t* q, float* scores,
                                              __m512 (&top)[kWide]) {
  __m512i sum[kKeys][kWide];
  const auto* k = reinterpret_cast<const std::int32_t*>(block.k) + key * (block.head_dim / 2);
  dot_words<kKeys, kWide>(k, block.head_dim / 2, 1, q, block.head_dim / 2, sum);
#pragma clang loop unroll(full)
  for (int i = 0; i < kKeys; ++i) {
    const __m512 scale = _mm512_set1_ps(block.k_scale[key + i]);
#pragma clang loop unroll(full)
    for (int n = 0; n < kWide; ++n) {
      const __m512 s = _mm512_mul_ps(_mm512_cvtepi32_ps(sum[i][n]), scale);
      _mm512_store_ps(scores + (key + i) * kTileRows + n * kLanes, s);
      top[n] = _mm512_max_ps(top[n], s);
    }
  }
}

template <int kRows>
[[gnu::always_inline]] inline void dot_rows(const std::int32_t* a, const float* a_scale, const std::int32_t* tile,
                                            const float* tile_scale, int n_words, float* out, std::ptrdiff_t stride) {
  __m512i sum[kRows][3];
  dot_words<kRows, 3>(a, n_words, 1, tile, n_words, sum);
#pragma clang loop unroll(full)
  for (int i = 0; i < kRows; ++i) {
    const __m512 scale = _mm512_set1_ps(a_scale[i]);
#pragma clang loop unroll(full)
    for (int n = 0; n < 3; ++n) {
      const __m512 both = _mm512_mul_ps(scale, _mm512_load_ps(tile_scale + n * kLanes));
      _mm512_store_ps(out + i * stride + n * kLanes, _mm512_mul_ps(_mm512_cvtepi32_ps(sum[i][n]), both));
    }
  }
}

/// What probes want of a block's weights: their sums as in Notes, in units of whatever the weights are in.
template <int kWide>
struct Noted {
  Noted() {
    for (int n = 0; n < kWide; ++n) logs[n] = distances[n] = _mm512_setzero_ps();
  }
  [[gnu::always_inline]] void add(int n, __m512 log, __m512 weight, float distance) {
    logs[n] = _mm512_fmadd_ps(weight, log, logs[n]);
    distances[n] = _mm512_fmadd_ps(weight, _mm512_set1_ps(distance), distances[n]);
  }
  __m512 logs[kWide], distances[kWide];
};

/// Scores to whole weights, two keys to a word; `base` is log2 of a step. Returns the sums, in steps. `words` may be
/// `scores`.
template <bool kNotes, int kWide>
[[gnu::always_inline]] inline void weigh_pairs(int n_keys, const __m512 (&factor)[kWide], const __m512 (&base)[kWide],
                                               const float* scores, float* words, const float* distance,
                                               __m512 (&sums)[kWide], Noted<kWide>& noted) {
  for (int n = 0; n < kWide; ++n) sums[n] = _mm512_setzero_ps();
  for (int key = 0; key < n_keys; key += 2) {
#pragma clang loop unroll(full)
    for (int n = 0; n < kWide; ++n) {
      const float* at = scores + key * kTileRows + n * kLanes;
      const __m512 low_log = _mm512_fmsub_ps(_mm512_load_ps(at), factor[n], base[n]);
      const __m512 low = exp2_of(low_log);
      sums[n] = _mm512_add_ps(sums[n], low);
      if constexpr (kNotes) noted.add(n, low_log, low, distance[key]);
      __m512i word = _mm512_cvtps_epi32(low);
      if (key + 1 < n_keys) {
        const __m512 high_log = _mm512_fmsub_ps(_mm512_load_ps(at + kTileRows), factor[n], base[n]);
        const __m512 high = exp2_of(high_log);
        sums[n] = _mm512_add_ps(sums[n], high);
        if constexpr (kNotes) noted.add(n, high_log, high, distance[key + 1]);
        word = _mm512_or_si512(word, _mm512_slli_epi32(_mm512_cvtps_epi32(high), 16));
      }
      _mm512_store_si512(words + key / 2 * kTileRows + n * kLanes, word);
    }
  }
}

/// Hidden scores to -inf, and the maximum of each row anew.
template <int kWide>
[[gnu::always_inline]] inline void hide(const std::uint32_t* visible, int n_keys, float* scores, __m512 (&top)[kWide]) {
  const __m512 nothing = _mm512_set1_ps(kNegInf);
  for (int n = 0; n < kWide; ++n) top[n] = nothing;
  for (int key = 0; key < n_keys; ++key) {
    const __m512i bit = _mm512_set1_epi32(static_cast<int>(1U << (key % 32)));
#pragma clang loop unroll(full)
    for (int n = 0; n < kWide; ++n) {
      float* at = scores + key * kTileRows + n * kLanes;
      const __m512i words = _mm512_load_si512(visible + key / 32 * kTileRows + n * kLanes);
      const __m512 s = _mm512_mask_mov_ps(nothing, _mm512_test_epi32_mask(words, bit), _mm512_load_ps(at));
      _mm512_store_ps(at, s);
      top[n] = _mm512_max_ps(top[n], s);
    }
  }
}

/// Scores to weights that multiply values with a scale for each key: whole numbers, two keys to a word, in `words`,
/// which may be `scores`. `base` is log2 of the row's largest weight; `unit` becomes what a whole number stands for,
/// and `sums` the weights'.
template <bool kNotes, int kWide>
[[gnu::always_inline]] inline void weigh_pairs_apart(const FixedBlock& block, const __m512 (&factor)[kWide],
                                                     const __m512 (&base)[kWide], const float* scores, float* words,
                                                     const float* distance, __m512 (&sums)[kWide],
                                                     __m512 (&unit)[kWide], Noted<kWide>& noted) {
  constexpr float kTiny = 1e-30F;
  __m512 largest[kWide], steps[kWide];
  for (int n = 0; n < kWide; ++n) sums[n] = _mm512_setzero_ps(), largest[n] = _mm512_set1_ps(kTiny);
  for (int key = 0; key < block.n_keys; ++key) {
    const __m512 scale = _mm512_set1_ps(block.v_key_scale[key]);
#pragma clang loop unroll(full)
    for (int n = 0; n < kWide; ++n) {
      const int at = key * kTileRows + n * kLanes;
      const __m512 log = _mm512_fmsub_ps(_mm512_load_ps(scores + at), factor[n], base[n]);
      const __m512 weight = exp2_of(log);
      const __m512 scaled = _mm512_mul_ps(weight, scale);
      _mm512_store_ps(words + at, scaled);
      if constexpr (kNotes) noted.add(n, _mm512_max_ps(_mm512_set1_ps(kLeastLog), log), weight, distance[key]);
      sums[n] = _mm512_add_ps(sums[n], weight);
      largest[n] = _mm512_max_ps(largest[n], scaled);
    }
  }
  for (int n = 0; n < kWide; ++n) {
    unit[n] = _mm512_mul_ps(largest[n], _mm512_set1_ps(1.0F / kWeightSteps));
    steps[n] = _mm512_div_ps(_mm512_set1_ps(kWeightSteps), largest[n]);
  }
  for (int key = 0; key < block.n_keys; key += 2) {
#pragma clang loop unroll(full)
    for (int n = 0; n < kWide; ++n) {
      const float* at = words + key * kTileRows + n * kLanes;
      __m512i word = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_load_ps(at), steps[n]));
      if (key + 1 < block.n_keys) {
        const __m512i high = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_load_ps(at + kTileRows), steps[n]));
        word = _mm512_or_si512(word, _mm512_slli_epi32(high, 16));
      }
      _mm512_store_si512(words + key / 2 * kTileRows + n * kLanes, word);
    }
  }
}

/// Joins what was noted of a block, in units of `step`, into the running notes. `shift`: log2 of the step; `fall`: old
/// maximum less the new one; row_sum is still the old one.
template <int kWide>
[[gnu::always_inline]] inline void join_notes(const FixedTile& tile, const Noted<kWide>& noted,
                                              const __m512 (&factor)[kWide], const __m512 (&sums)[kWide],
                                              const __m512 (&alpha)[kWide], const __m512 (&step)[kWide],
                                              const __m512 (&fall)[kWide], const __m512 (&shift)[kWide]) {
  const Notes& notes = *tile.notes;
  const __m512 least = _mm512_set1_ps(kLeastLog);
  for (int n = 0; n < kWide; ++n) {
    const int row = n * kLanes;
    const auto join = [&](float* running, __m512 before, __m512 block) {
      _mm512_store_ps(running + row, _mm512_fmadd_ps(alpha[n], before, _mm512_mul_ps(step[n], block)));
    };
    if (notes.log_sum) {
      const __m512 logs = _mm512_load_ps(notes.log_sum + row);
      join(notes.log_sum, _mm512_fmadd_ps(_mm512_max_ps(least, fall[n]), _mm512_load_ps(tile.row_sum + row), logs),
           _mm512_fmadd_ps(_mm512_max_ps(least, shift[n]), sums[n], noted.logs[n]));
      join(notes.distance_sum, _mm512_load_ps(notes.distance_sum + row), noted.distances[n]);
    }
    _mm512_store_ps(notes.factor + row, factor[n]);
    _mm512_store_ps(notes.shrink + row, alpha[n]);
    _mm512_store_ps(notes.block_sum + row, _mm512_mul_ps(step[n], sums[n]));
  }
}

template <bool kApart, int kWide>
[[gnu::always_inline]] inline void mix_dims(const FixedBlock& block, int dim, const std::int32_t* weights,
                                            const __m512 (&alpha)[kWide], const __m512 (&step)[kWide], float* o) {
  __m512i sum[kHigh][kWide];
  const int n_pairs = (block.n_keys + 1) / 2;
  dot_words<kHigh, kWide>(block.v + dim / kPanel * ((block.v_keys + 1) / 2) * kPanel, 1, kPanel, weights, n_pairs, sum);
#pragma clang loop unroll(full)
  for (int i = 0; i < kHigh; ++i) {
    const __m512 scale = _mm512_set1_ps(kApart ? 1.0F : block.v_scale[dim + i]);
#pragma clang loop unroll(full)
    for (int n = 0; n < kWide; ++n) {
      float* at = o + (dim + i) * kTileRows + n * kLanes;
      const __m512 whole = _mm512_cvtepi32_ps(sum[i][n]);
      const __m512 added = _mm512_mul_ps(kApart ? whole : _mm512_mul_ps(whole, scale), step[n]);
      _mm512_store_ps(at, _mm512_fmadd_ps(_mm512_load_ps(at), alpha[n], added));
    }
  }
}

/// The largest scores of each run of keys, and of all of them.
template <int kWide>
struct Tops {
  __m512 run[kRuns][kWide], all[kWide];
};

template <int kWide>
[[gnu::always_inline]] inline void score_block(const FixedTile& tile, const FixedBlock& block, float* scores,
                                               Tops<kWide>& top) {
  for (int n = 0; n < kWide; ++n) top.all[n] = _mm512_set1_ps(kNegInf);
  for (int key = 0; key < block.n_keys; key += kRunKeys) {
    __m512(&of_run)[kWide] = top.run[key / kRunKeys];
    for (int n = 0; n < kWide; ++n) of_run[n] = _mm512_set1_ps(kNegInf);
    if (key + kRunKeys <= block.n_keys) {
      score_keys<kRunKeys, kWide>(block, key, tile.q, scores, of_run);
    } else {
      for (int one = key; one < block.n_keys; ++one) score_keys<1, kWide>(block, one, tile.q, scores, of_run);
    }
    for (int n = 0; n < kWide; ++n) top.all[n] = _mm512_max_ps(top.all[n], of_run[n]);
  }
}

/// Joins a block's weights, in units of `step` for the sums and of `o_step` for o, into the running softmax.
template <bool kApart, int kWide>
[[gnu::always_inline]] inline void join(const FixedTile& tile, const FixedBlock& block, const float* weights,
                                        const __m512 (&sums)[kWide], const __m512 (&alpha)[kWide],
                                        const __m512 (&step)[kWide], const __m512 (&o_step)[kWide]) {
  for (int n = 0; n < kWide; ++n) {
    float* at = tile.row_sum + n * kLanes;
    _mm512_store_ps(at, _mm512_fmadd_ps(_mm512_load_ps(at), alpha[n], _mm512_mul_ps(sums[n], step[n])));
  }
  for (int dim = 0; dim < block.v_dim; dim += kHigh) {
    mix_dims<kApart, kWide>(block, dim, reinterpret_cast<const std::int32_t*>(weights), alpha, o_step, tile.o);
  }
}

constexpr float kLog2e = 1.4426950408889634F;

/// Where a block's weights go: what `visit_columns` finds out before it weighs.
template <int kWide>
struct Joint {
  __m512 factor[kWide];  // scores to log2
  __m512 base[kWide];    // log2 of a step of the block's weights
  __m512 alpha[kWide];   // what becomes of the sums so far
  __m512 step[kWide];    // of the block's weights, in units of the sums
};

/// Runs of keys that are weighed one by one for 16 rows: as many as `n`, ascending.
struct Kept {
  int n = 0;
  std::uint8_t run[kRuns];
  std::uint32_t bits = 0;  // the same
};

/// A run stays where a row that is in use would give one of its keys at least a share 2^skip_log2 of what it has summed
/// so far (rounded down to a power of two). Requires row_max as it is after the block, row_sum as it was before.
template <int kWide>
[[gnu::always_inline]] inline Kept keep_runs(const FixedTile& tile, const Joint<kWide>& joint, const Tops<kWide>& top,
                                             int n_runs, int n) {
  const __m512 sum = _mm512_mul_ps(joint.alpha[n], _mm512_load_ps(tile.row_sum + n * kLanes));
  const __m512 so_far = _mm512_getexp_ps(_mm512_max_ps(_mm512_set1_ps(1.0F), sum));
  const __m512 limit =
      _mm512_add_ps(_mm512_add_ps(_mm512_load_ps(tile.row_max + n * kLanes), so_far), _mm512_set1_ps(tile.skip_log2));
  const auto in_use = static_cast<__mmask16>((1U << std::min(kLanes, tile.n_rows - n * kLanes)) - 1);
  Kept kept;
  for (int run = 0; run < n_runs; ++run) {
    const __m512 most = _mm512_mul_ps(top.run[run][n], joint.factor[n]);
    const bool stays = _mm512_mask_cmp_ps_mask(in_use, most, limit, _CMP_NLT_UQ) != 0;
    kept.run[kept.n] = static_cast<std::uint8_t>(run);
    kept.n += stays;
    kept.bits |= static_cast<std::uint32_t>(stays) << run;
  }
  return kept;
}

/// Runs that are not weighed key by key go by their mean value: two runs to a word, in steps for each key of theirs.
struct Rest {
  __m512i words[kRuns / 2];
  __m512 sum;  // of the weights of all their keys
};

/// A run of 8 keys weighs as many of its largest as the kept ones of the row do, whose weights come to `sum`.
template <int kWide>
[[gnu::always_inline]] inline Rest weigh_rest(const Joint<kWide>& joint, const Tops<kWide>& top, const Kept& kept,
                                              int n_runs, int n, __m512 sum) {
  __m512 strong = _mm512_setzero_ps(), weak = _mm512_setzero_ps(), largest[kRuns];
  for (int run = 0; run < n_runs; ++run) {
    const __m512 weight = exp2_of(_mm512_fmsub_ps(top.run[run][n], joint.factor[n], joint.base[n]));
    const bool stays = (kept.bits >> run & 1U) != 0;
    largest[run] = stays ? _mm512_setzero_ps() : weight;
    weak = _mm512_add_ps(weak, largest[run]);
    if (stays) strong = _mm512_add_ps(strong, weight);
  }
  const __mmask16 known = _mm512_cmp_ps_mask(strong, _mm512_setzero_ps(), _CMP_GT_OQ);
  const __m512 ratio = _mm512_mask_div_ps(_mm512_set1_ps(kGuess), known, sum, strong);
  const __m512 each = _mm512_min_ps(_mm512_set1_ps(1.0F), _mm512_mul_ps(ratio, _mm512_set1_ps(1.0F / kRunKeys)));
  Rest rest{.sum = _mm512_mul_ps(_mm512_mul_ps(each, _mm512_set1_ps(kRunKeys)), weak)};
  for (int run = 0; run < n_runs; run += 2) {
    const __m512 high = run + 1 < n_runs ? largest[run + 1] : _mm512_setzero_ps();
    const __m512i words = _mm512_slli_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(high, each)), 16);
    rest.words[run / 2] = _mm512_or_si512(_mm512_cvtps_epi32(_mm512_mul_ps(largest[run], each)), words);
  }
  return rest;
}

/// As mix_dims, of kept runs and 16 rows: kPanels x 8 dimensions from `dim` on.
template <int kPanels>
[[gnu::always_inline]] inline void mix_kept(const FixedBlock& block, const Kept& kept, int dim,
                                            const std::int32_t* weights, const Rest& rest, __m512 alpha, __m512 step,
                                            float* o) {
  const std::ptrdiff_t panel = (block.v_keys + 1) / 2 * kPanel;
  const std::int32_t* v = block.v + dim / kPanel * panel;
  __m512i sum[kPanels * kPanel];
#pragma clang loop unroll(full)
  for (int i = 0; i < kPanels * kPanel; ++i) sum[i] = _mm512_setzero_si512();
  for (int at = 0; at < kept.n; ++at) {
    const int first = kept.run[at] * (kRunKeys / 2);
    for (int pair = first; pair < first + kRunKeys / 2; ++pair) {
      const __m512i words = _mm512_load_si512(weights + pair * kTileRows);
#pragma clang loop unroll(full)
      for (int i = 0; i < kPanels * kPanel; ++i) {
        const std::int32_t value = v[i / kPanel * panel + pair * kPanel + i % kPanel];
        sum[i] = _mm512_dpwssd_epi32(sum[i], words, _mm512_set1_epi32(value));
      }
    }
  }
  const int n_words = (block.n_keys / kRunKeys + 1) / 2;
  const std::int32_t* runs = block.v_runs + dim / kPanel * n_words * kPanel;
  for (int word = 0; word < n_words; ++word, runs += kPanel) {
#pragma clang loop unroll(full)
    for (int i = 0; i < kPanels * kPanel; ++i) {
      const std::int32_t value = runs[i / kPanel * n_words * kPanel + i % kPanel];
      sum[i] = _mm512_dpwssd_epi32(sum[i], rest.words[word], _mm512_set1_epi32(value));
    }
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < kPanels * kPanel; ++i) {
    float* at = o + (dim + i) * kTileRows;
    const __m512 added = _mm512_mul_ps(_mm512_cvtepi32_ps(sum[i]), _mm512_set1_ps(block.v_scale[dim + i]));
    _mm512_store_ps(at, _mm512_fmadd_ps(_mm512_load_ps(at), alpha, _mm512_mul_ps(added, step)));
  }
}

/// Weighs the kept runs of 16 rows; the words of the others become 0 where probes read them. Returns their sums.
template <bool kNotes>
[[gnu::always_inline]] inline __m512 weigh_kept(const FixedBlock& block, const Kept& kept, __m512 factor, __m512 base,
                                                const float* scores, float* words, const Notes* notes,
                                                Noted<1>& noted) {
  if (notes) {
    for (int pair = 0; pair < block.n_keys / 2; ++pair) {
      _mm512_store_ps(words + pair * kTileRows, _mm512_setzero_ps());
    }
  }
  __m512 sum = _mm512_setzero_ps();
  for (int at = 0; at < kept.n; ++at) {
    const int key = kept.run[at] * kRunKeys;
    __m512 some[1];
    weigh_pairs<kNotes, 1>(kRunKeys, {factor}, {base}, scores + key * kTileRows, words + key / 2 * kTileRows,
                           kNotes ? notes->distance + key : nullptr, some, noted);
    sum = _mm512_add_ps(sum, some[0]);
  }
  return sum;
}

/// What the rows keep of a block. Returns the pairs of a row and a key that go by runs; 0, and nothing of `kept`,
/// where those are less than a quarter, not worth three rounds over the values.
template <int kWide>
[[gnu::always_inline]] inline int keep(const FixedTile& tile, const Joint<kWide>& joint, const Tops<kWide>& top,
                                       int n_keys, Kept (&kept)[kWide]) {
  if (tile.skip_log2 == kNegInf || n_keys % kRunKeys != 0) return 0;
  const int n_runs = n_keys / kRunKeys;
  int n_kept = 0, n_by_run = 0;
  for (int n = 0; n < kWide; ++n) {
    kept[n] = keep_runs<kWide>(tile, joint, top, n_runs, n);
    n_kept += kept[n].n;
    n_by_run += (n_runs - kept[n].n) * kRunKeys * std::min(kLanes, tile.n_rows - n * kLanes);
  }
  return 4 * n_kept > 3 * kWide * n_runs ? 0 : n_by_run;
}

/// Joins what was kept of a block, and the rest of it, into the running softmax.
template <int kWide>
[[gnu::always_inline]] inline void join_kept(const FixedTile& tile, const FixedBlock& block, const Tops<kWide>& top,
                                             const Kept (&kept)[kWide], const float* weights,
                                             const __m512 (&sums)[kWide], const Joint<kWide>& joint) {
  const int n_runs = block.n_keys / kRunKeys;
  for (int n = 0; n < kWide; ++n) {
    const int at = n * kLanes;
    const __m512 alpha = joint.alpha[n], step = joint.step[n];
    const Rest rest = weigh_rest<kWide>(joint, top, kept[n], n_runs, n, sums[n]);
    float* sum = tile.row_sum + at;
    const __m512 added = _mm512_mul_ps(_mm512_add_ps(sums[n], rest.sum), step);
    _mm512_store_ps(sum, _mm512_fmadd_ps(_mm512_load_ps(sum), alpha, added));
    const auto* words = reinterpret_cast<const std::int32_t*>(weights + at);
    int dim = 0;
    for (; dim + 2 * kPanel <= block.v_dim; dim += 2 * kPanel)
      mix_kept<2>(block, kept[n], dim, words, rest, alpha, step, tile.o + at);
    if (dim < block.v_dim) mix_kept<1>(block, kept[n], dim, words, rest, alpha, step, tile.o + at);
  }
}

template <int kWide>
[[gnu::noinline]] int visit_columns(const FixedTile& tile, const FixedBlock& block, float scale, float* scores) {
  Tops<kWide> top;
  score_block<kWide>(tile, block, scores, top);
  constexpr float kLog2Steps = 12.0F;
  Joint<kWide> joint;
  __m512 sums[kWide], fall[kWide], shift[kWide];
  for (int n = 0; n < kWide; ++n) {
    const int at = n * kLanes;
    const __m512 steps = _mm512_set1_ps(kLog2Steps);
    joint.factor[n] = _mm512_mul_ps(_mm512_load_ps(tile.q_scale + at), _mm512_set1_ps(scale * kLog2e));
    const __m512 block_max = _mm512_mul_ps(top.all[n], joint.factor[n]);
    const __m512 old = _mm512_load_ps(tile.row_max + at);
    const __m512 now = _mm512_max_ps(old, block_max);
    _mm512_store_ps(tile.row_max + at, now);
    fall[n] = _mm512_sub_ps(old, now);
    joint.alpha[n] = exp2_of(fall[n]);
    shift[n] = _mm512_sub_ps(_mm512_sub_ps(block_max, now), steps);
    joint.step[n] = exp2_of(shift[n]);
    joint.base[n] = _mm512_sub_ps(block_max, steps);
  }
  float* words = tile.notes ? tile.notes->weights : scores;
  const bool notes = tile.notes && tile.notes->log_sum;
  Noted<kWide> noted;
  Kept kept[kWide];
  const int n_by_run = keep<kWide>(tile, joint, top, block.n_keys, kept);
  if (n_by_run > 0) {
    for (int n = 0; n < kWide; ++n) {
      const int at = n * kLanes;
      Noted<1> one;
      sums[n] = notes ? weigh_kept<true>(block, kept[n], joint.factor[n], joint.base[n], scores + at, words + at,
                                         tile.notes, one)
                      : weigh_kept<false>(block, kept[n], joint.factor[n], joint.base[n], scores + at, words + at,
                                          tile.notes, one);
      noted.logs[n] = one.logs[0], noted.distances[n] = one.distances[0];
    }
  } else if (notes) {
    weigh_pairs<true, kWide>(block.n_keys, joint.factor, joint.base, scores, words, tile.notes->distance, sums, noted);
  } else {
    weigh_pairs<false, kWide>(block.n_keys, joint.factor, joint.base, scores, words, nullptr, sums, noted);
  }
  if (tile.notes) join_notes<kWide>(tile, noted, joint.factor, sums, joint.alpha, joint.step, fall, shift);
  if (n_by_run > 0) {
    join_kept<kWide>(tile, block, top, kept, words, sums, joint);
  } else {
    join<false, kWide>(tile, block, words, sums, joint.alpha, joint.step, joint.step);
  }
  return n_by_run;
}

/// The same where each key has its own scale and rows may not see all of them: two more passes over the scores.
template <int kWide>
[[gnu::noinline]] void visit_apart(const FixedTile& tile, const FixedBlock& block, float scale,
                                   const std::uint32_t* visible, float* scores) {
  Tops<kWide> tops;
  score_block<kWide>(tile, block, scores, tops);
  __m512(&top)[kWide] = tops.all;
  if (visible) hide<kWide>(visible, block.n_keys, scores, top);
  __m512 factor[kWide], base[kWide], alpha[kWide], step[kWide], sums[kWide], unit[kWide], fall[kWide], shift[kWide];
  const __m512 nothing = _mm512_set1_ps(kNegInf);
  for (int n = 0; n < kWide; ++n) {
    const int at = n * kLanes;
    factor[n] = _mm512_mul_ps(_mm512_load_ps(tile.q_scale + at), _mm512_set1_ps(scale * kLog2e));
    const __m512 block_max = _mm512_mul_ps(top[n], factor[n]);
    const __m512 old = _mm512_load_ps(tile.row_max + at);
    const __m512 now = _mm512_max_ps(old, block_max);
    _mm512_store_ps(tile.row_max + at, now);
    // A row that has seen nothing yet, or nothing here: weights 0, and nothing moves.
    const __m512 now_or_0 = _mm512_mask_mov_ps(now, _mm512_cmpeq_ps_mask(now, nothing), _mm512_setzero_ps());
    base[n] = _mm512_mask_mov_ps(block_max, _mm512_cmpeq_ps_mask(block_max, nothing), _mm512_setzero_ps());
    fall[n] = _mm512_sub_ps(old, now_or_0);
    alpha[n] = exp2_of(fall[n]);
    shift[n] = _mm512_sub_ps(block_max, now_or_0);
    step[n] = exp2_of(shift[n]);
  }
  float* words = tile.notes ? tile.notes->weights : scores;
  Noted<kWide> noted;
  if (tile.notes && tile.notes->log_sum) {
    weigh_pairs_apart<true, kWide>(block, factor, base, scores, words, tile.notes->distance, sums, unit, noted);
  } else {
    weigh_pairs_apart<false, kWide>(block, factor, base, scores, words, nullptr, sums, unit, noted);
  }
  if (tile.notes) join_notes<kWide>(tile, noted, factor, sums, alpha, step, fall, shift);
  for (int n = 0; n < kWide; ++n) unit[n] = _mm512_mul_ps(unit[n], step[n]);
  join<true, kWide>(tile, block, words, sums, alpha, step, unit);
}

template <int kWide>
int visit_wide(const FixedTile& tile, const FixedBlock& block, float scale, const std::uint32_t* visible,
               float* scratch) {
  if (!block.v_key_scale) return visit_columns<kWide>(tile, block, scale, scratch);
  visit_apart<kWide>(tile, block, scale, visible, scratch);
  return 0;
}

}  // namespace

void dot_tile_fixed(const std::int16_t* a, const float* a_scale, int n_rows, const std::int32_t* tile,
                    const float* tile_scale, int dim, float* out, std::ptrdiff_t out_stride) noexcept {
  const auto* words = reinterpret_cast<const std::int32_t*>(a);
  const int n_words = dim / 2;
  int i = 0;
  for (; i + kHigh <= n_rows; i += kHigh) {
    dot_rows<kHigh>(words + i * n_words, a_scale + i, tile, tile_scale, n_words, out + i * out_stride, out_stride);
  }
  for (; i < n_rows; ++i) {
    dot_rows<1>(words + i * n_words, a_scale + i, tile, tile_scale, n_words, out + i * out_stride, out_stride);
  }
}

int visit_fixed(const FixedTile& tile, const FixedBlock& block, float scale, const std::uint32_t* visible,
                float* scratch) noexcept {
  const int n_vectors = (tile.n_rows + kLanes - 1) / kLanes;
  if (n_vectors == 3) return visit_wide<3>(tile, block, scale, visible, scratch);
  if (n_vectors == 2) return visit_wide<2>(tile, block, scale, visible, scratch);
  return n_vectors == 1 ? visit_wide<1>(tile, block, scale, visible, scratch) : 0;
}

}  // namespace saccade::kernel

#else

// Another architecture, or a compiler that does not know VNNI: has_fixed() is false there and none of this is called.
namespace saccade::kernel {
int visit_fixed(const FixedTile&, const FixedBlock&, float, const std::uint32_t*, float*) noexcept { return 0; }
void dot_tile_fixed(const std::int16_t*, const float*, int, const std::int32_t*, const float*, int, float*,
                    std::ptrdiff_t) noexcept {}
}  // namespace saccade::kernel

#endif
