// Rows to 16 bits, for the kernels of fixed.cc; compiled as they are.

#include "saccade/kernel/fixed.h"

#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace saccade::kernel {

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

void add_runs(const std::int32_t* v, int n_keys, int dim, std::int32_t* out) noexcept {
  const int n_pairs = n_keys / 2, n_runs = n_keys / kRunKeys;
  for (int at = 0; at < dim; at += kPanel, v += n_pairs * kPanel) {
    for (int run = 0; run < n_runs; run += 2, out += kPanel) {
      const auto sum_of = [&](int one) {
        __m256i sum = _mm256_setzero_si256();
        for (int pair = one * kRunKeys / 2; one < n_runs && pair < (one + 1) * kRunKeys / 2; ++pair) {
          sum = _mm256_add_epi16(sum, _mm256_load_si256(reinterpret_cast<const __m256i*>(v + pair * kPanel)));
        }
        return _mm256_madd_epi16(sum, _mm256_set1_epi16(1));  // both keys of a word
      };
      const __m256i low = _mm256_and_si256(sum_of(run), _mm256_set1_epi32(0xffff));
      _mm256_store_si256(reinterpret_cast<__m256i*>(out), _mm256_or_si256(low, _mm256_slli_epi32(sum_of(run + 1), 16)));
    }
  }
}

void fix_keys_apart(const float* panels, int n_keys, int dim, std::int32_t* out, float* scale) noexcept {
  const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  const int n_pairs = (n_keys + 1) / 2;
  const std::ptrdiff_t panel = n_keys * kPanel;
  for (int key = 0; key < n_keys; ++key) {
    __m256 largest8 = _mm256_setzero_ps();
    __m256 stain = _mm256_setzero_ps();  // 0 x value stays 0 unless a value is NaN or inf
    for (int at = 0; at < dim; at += kPanel) {
      const __m256 values = _mm256_load_ps(panels + at / kPanel * panel + key * kPanel);
      largest8 = _mm256_max_ps(largest8, _mm256_and_ps(magnitude, values));
      stain = _mm256_fmadd_ps(values, _mm256_setzero_ps(), stain);
    }
    const bool finite = _mm256_cmp_ps_mask(stain, stain, _CMP_EQ_OQ) == 0xff;
    const float largest = finite ? std::max(1e-30F, _mm512_reduce_max_ps(_mm512_zextps256_ps512(largest8))) : 0.0F;
    scale[key] = finite ? largest / kValueSteps : std::numeric_limits<float>::quiet_NaN();
    const __m256 factor = _mm256_set1_ps(finite ? kValueSteps / largest : 0.0F);
    const __mmask8 all = finite ? 0xff : 0;
    for (int at = 0; at < dim; at += kPanel) {
      const __m256 values = _mm256_maskz_load_ps(all, panels + at / kPanel * panel + key * kPanel);
      const __m128i whole = _mm256_cvtsepi32_epi16(_mm256_cvtps_epi32(_mm256_mul_ps(values, factor)));
      auto* words = reinterpret_cast<__m256i*>(out + (at / kPanel * n_pairs + key / 2) * kPanel);
      if (key % 2 == 0) {
        _mm256_store_si256(words, _mm256_cvtepu16_epi32(whole));
      } else {
        const __m256i high = _mm256_slli_epi32(_mm256_cvtepu16_epi32(whole), 16);
        _mm256_store_si256(words, _mm256_or_si256(_mm256_load_si256(words), high));
      }
    }
  }
}

}  // namespace saccade::kernel

#else

// As in fixed.cc: none of this is called.
namespace saccade::kernel {
float fix_row(const float*, int, std::int16_t*) noexcept { return 0.0F; }
void fix_panels(const float*, int, int, std::int32_t*, float*) noexcept {}
void fix_keys_apart(const float*, int, int, std::int32_t*, float*) noexcept {}
void add_runs(const std::int32_t*, int, int, std::int32_t*) noexcept {}
}  // namespace saccade::kernel

#endif
