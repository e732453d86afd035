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
constexpr float kNegInf = -std::numeric_limits<float>::infinity();

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

/// Scores to whole weights, two keys to a word, in place; `base` is log2 of a step. Returns the sums, in steps.
template <int kWide>
[[gnu::always_inline]] inline void weigh_pairs(int n_keys, const __m512 (&factor)[kWide], const __m512 (&base)[kWide],
                                               float* scores, __m512 (&sums)[kWide]) {
  for (int n = 0; n < kWide; ++n) sums[n] = _mm512_setzero_ps();
  for (int key = 0; key < n_keys; key += 2) {
#pragma clang loop unroll(full)
    for (int n = 0; n < kWide; ++n) {
      float* at = scores + key * kTileRows + n * kLanes;
      const __m512 low = exp2_of(_mm512_fmsub_ps(_mm512_load_ps(at), factor[n], base[n]));
      sums[n] = _mm512_add_ps(sums[n], low);
      __m512i word = _mm512_cvtps_epi32(low);
      if (key + 1 < n_keys) {
        const __m512 high = exp2_of(_mm512_fmsub_ps(_mm512_load_ps(at + kTileRows), factor[n], base[n]));
        sums[n] = _mm512_add_ps(sums[n], high);
        word = _mm512_or_si512(word, _mm512_slli_epi32(_mm512_cvtps_epi32(high), 16));
      }
      _mm512_store_si512(scores + key / 2 * kTileRows + n * kLanes, word);
    }
  }
}

template <int kWide>
[[gnu::always_inline]] inline void mix_dims(const FixedBlock& block, int dim, const std::int32_t* weights,
                                            const __m512 (&alpha)[kWide], const __m512 (&step)[kWide], float* o) {
  __m512i sum[kHigh][kWide];
  const int n_pairs = (block.n_keys + 1) / 2;
  dot_words<kHigh, kWide>(block.v + dim / kPanel * n_pairs * kPanel, 1, kPanel, weights, n_pairs, sum);
#pragma clang loop unroll(full)
  for (int i = 0; i < kHigh; ++i) {
    const __m512 scale = _mm512_set1_ps(block.v_scale[dim + i]);
#pragma clang loop unroll(full)
    for (int n = 0; n < kWide; ++n) {
      float* at = o + (dim + i) * kTileRows + n * kLanes;
      const __m512 added = _mm512_mul_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sum[i][n]), scale), step[n]);
      _mm512_store_ps(at, _mm512_fmadd_ps(_mm512_load_ps(at), alpha[n], added));
    }
  }
}

template <int kWide>
[[gnu::noinline]] void visit_columns(const FixedTile& tile, const FixedBlock& block, float scale, int column,
                                     float* scratch) {
  float* scores = scratch + column;
  __m512 top[kWide];
  for (int n = 0; n < kWide; ++n) top[n] = _mm512_set1_ps(kNegInf);
  int key = 0;
  for (; key + kHigh <= block.n_keys; key += kHigh) score_keys<kHigh, kWide>(block, key, tile.q + column, scores, top);
  for (; key < block.n_keys; ++key) score_keys<1, kWide>(block, key, tile.q + column, scores, top);

  constexpr float kLog2e = 1.4426950408889634F;
  constexpr float kLog2Steps = 12.0F;
  __m512 factor[kWide], base[kWide], alpha[kWide], step[kWide], sums[kWide];
  for (int n = 0; n < kWide; ++n) {
    const int at = column + n * kLanes;
    const __m512 steps = _mm512_set1_ps(kLog2Steps);
    factor[n] = _mm512_mul_ps(_mm512_load_ps(tile.q_scale + at), _mm512_set1_ps(scale * kLog2e));
    const __m512 block_max = _mm512_mul_ps(top[n], factor[n]);
    const __m512 old = _mm512_load_ps(tile.row_max + at);
    const __m512 now = _mm512_max_ps(old, block_max);
    _mm512_store_ps(tile.row_max + at, now);
    alpha[n] = exp2_of(_mm512_sub_ps(old, now));
    step[n] = exp2_of(_mm512_sub_ps(_mm512_sub_ps(block_max, now), steps));
    base[n] = _mm512_sub_ps(block_max, steps);
  }
  weigh_pairs<kWide>(block.n_keys, factor, base, scores, sums);
  for (int n = 0; n < kWide; ++n) {
    float* at = tile.row_sum + column + n * kLanes;
    _mm512_store_ps(at, _mm512_fmadd_ps(_mm512_load_ps(at), alpha[n], _mm512_mul_ps(sums[n], step[n])));
  }
  for (int dim = 0; dim < block.v_dim; dim += kHigh) {
    mix_dims<kWide>(block, dim, reinterpret_cast<const std::int32_t*>(scores), alpha, step, tile.o + column);
  }
}

}  // namespace

void visit_fixed(const FixedTile& tile, const FixedBlock& block, float scale, float* scratch) noexcept {
  const int n_vectors = (tile.n_rows + kLanes - 1) / kLanes;
  if (n_vectors == 3) visit_columns<3>(tile, block, scale, 0, scratch);
  if (n_vectors == 2) visit_columns<2>(tile, block, scale, 0, scratch);
  if (n_vectors == 1) visit_columns<1>(tile, block, scale, 0, scratch);
}

float fix_row(const float* row, int dim, std::int16_t* out) noexcept {
  const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  __m256 squares8 = _mm256_setzero_ps();
  __m256 largest8 = _mm256_setzero_ps();
  for (int i = 0; i < dim; i += 8) {
    const __m256 values = _mm256_loadu_ps(row + i);
    squares8 = _mm256_fmadd_ps(values, values, squares8);
    largest8 = _mm256_max_ps(largest8, _mm256_and_ps(magnitude, values));
  }
  const float norm = std::sqrt(_mm512_reduce_add_ps(_mm512_zextps256_ps512(squares8)));
  const float largest = _mm512_reduce_max_ps(_mm512_zextps256_ps512(largest8));
  if (!std::isfinite(norm)) return std::numeric_limits<float>::quiet_NaN();
  if (norm < 1e-30F) {
    for (int i = 0; i < dim; ++i) out[i] = 0;
    return 1.0F;
  }
  const float scale = std::min(kRowNorm / norm, 32767.0F / largest);
  for (int i = 0; i < dim; i += 8) {
    const __m256i fixed = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(row + i), _mm256_set1_ps(scale)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm256_cvtsepi32_epi16(fixed));
  }
  return 1.0F / scale;
}

void fix_panels(const float* panels, int n_keys, int dim, std::int32_t* out, float* scale) noexcept {
  const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  const int n_pairs = (n_keys + 1) / 2;
  for (int at = 0; at < dim; at += kPanel, panels += n_keys * kPanel, out += n_pairs * kPanel) {
    __m256 largest = _mm256_set1_ps(1e-30F);
    for (int key = 0; key < n_keys; ++key) {
      largest = _mm256_max_ps(largest, _mm256_and_ps(magnitude, _mm256_load_ps(panels + key * kPanel)));
    }
    const __m256 factor = _mm256_div_ps(_mm256_set1_ps(kValueSteps), largest);
    _mm256_storeu_ps(scale + at, _mm256_div_ps(largest, _mm256_set1_ps(kValueSteps)));
    for (int pair = 0; pair < n_pairs; ++pair) {
      const float* from = panels + 2 * pair * kPanel;
      const __m256i low = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_load_ps(from), factor));
      __m256i word = _mm256_and_si256(low, _mm256_set1_epi32(0xffff));
      if (2 * pair + 1 < n_keys) {
        const __m256i high = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_load_ps(from + kPanel), factor));
        word = _mm256_or_si256(word, _mm256_slli_epi32(high, 16));
      }
      _mm256_store_si256(reinterpret_cast<__m256i*>(out + pair * kPanel), word);
    }
  }
}

}  // namespace saccade::kernel

#else

// Another architecture, or a compiler that does not know VNNI: has_fixed() is false there and none of this is called.
namespace saccade::kernel {
void visit_fixed(const FixedTile&, const FixedBlock&, float, float*) noexcept {}
float fix_row(const float*, int, std::int16_t*) noexcept { return 0.0F; }
void fix_panels(const float*, int, int, std::int32_t*, float*) noexcept {}
}  // namespace saccade::kernel

#endif
