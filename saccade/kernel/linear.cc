// Compiled for AVX-512 VNNI alone (see the root CMakeLists.txt); nothing here runs before has_linear() said yes.

#include "saccade/kernel/linear.h"

#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "saccade/kernel/expand.h"

namespace saccade::kernel {
namespace {

constexpr int kLanes = 16;
constexpr int kWide = kTileParams / kLanes;

/// Rounds to 16 bits, n a multiple of 32. Of each 32, elements 4 i to 4 i + 3 and 16 + 4 i to 19 + 4 i come together:
/// in pairs, in an order that is the same for parameters and tokens, and sums of whole numbers know no order.
inline void round_chunk(const float* values, int n, float scale, std::int16_t* out) {
  const __m512 factor = _mm512_set1_ps(scale);
  for (int i = 0; i < n; i += 2 * kLanes) {
    const __m512i low = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(values + i), factor));
    const __m512i high = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(values + i + kLanes), factor));
    _mm512_storeu_si512(out + i, _mm512_packs_epi32(low, high));
  }
}

/// For chunks whose squares do not fit f32, and those with NaN or inf.
[[gnu::noinline]] float fix_odd_chunk(const float* values, int n, std::int16_t* out) {
  double squares = 0;
  float largest = 0;
  for (int i = 0; i < n; ++i) {
    squares += double{values[i]} * double{values[i]};
    largest = std::max(largest, std::fabs(values[i]));
  }
  const double norm = std::sqrt(squares);
  std::memset(out, 0, static_cast<std::size_t>(n) * sizeof *out);
  if (!std::isfinite(norm)) return std::numeric_limits<float>::quiet_NaN();
  if (norm < double{kSmallestNorm}) return 0.0F;
  const double scale = std::min(double{kChunkNorm} / norm, 32767.0 / double{largest});
  alignas(64) float scaled[kChunk];
  for (int i = 0; i < n; ++i) scaled[i] = static_cast<float>(double{values[i]} * scale);
  round_chunk(scaled, n, 1.0F, out);
  return static_cast<float>(1.0 / scale);
}

/// 16 x 16 words: in[i * in_stride + j] to out[j * out_stride + i].
inline void transpose(const std::int32_t* in, std::ptrdiff_t in_stride, std::int32_t* out, std::ptrdiff_t out_stride) {
  __m512i a[kLanes], b[kLanes];
#pragma clang loop unroll(full)
  for (int i = 0; i < kLanes; ++i) a[i] = _mm512_load_si512(in + i * in_stride);
#pragma clang loop unroll(full)
  for (int i = 0; i < kLanes; i += 2) {
    b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < kLanes; i += 4) {
    a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
    a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
    a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
    a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
  }
  // a[4 g + c] holds, in its four 128-bit parts p, column 4 p + c of rows 4 g to 4 g + 3.
#pragma clang loop unroll(full)
  for (int c = 0; c < 4; ++c) {
    const __m512i low02 = _mm512_shuffle_i32x4(a[c], a[4 + c], 0x88);  // parts 0, 2 of rows 0-3, then of rows 4-7
    const __m512i low13 = _mm512_shuffle_i32x4(a[c], a[4 + c], 0xdd);
    const __m512i high02 = _mm512_shuffle_i32x4(a[8 + c], a[12 + c], 0x88);
    const __m512i high13 = _mm512_shuffle_i32x4(a[8 + c], a[12 + c], 0xdd);
    _mm512_store_si512(out + c * out_stride, _mm512_shuffle_i32x4(low02, high02, 0x88));
    _mm512_store_si512(out + (4 + c) * out_stride, _mm512_shuffle_i32x4(low13, high13, 0x88));
    _mm512_store_si512(out + (8 + c) * out_stride, _mm512_shuffle_i32x4(low02, high02, 0xdd));
    _mm512_store_si512(out + (12 + c) * out_stride, _mm512_shuffle_i32x4(low13, high13, 0xdd));
  }
}

/// Sums and maxima of 16 rows at once: lane i of the results belongs to row i.
struct Measures {
  alignas(64) float squares[kLanes * kLanes] = {};
  alignas(64) float largest[kLanes * kLanes] = {};

  void measure(int row, const float* values, int n) {
    __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    __m512 most = _mm512_setzero_ps();
    for (int i = 0; i < n; i += 2 * kLanes) {
      const __m512 low = _mm512_loadu_ps(values + i);
      const __m512 high = _mm512_loadu_ps(values + i + kLanes);
      sum[0] = _mm512_fmadd_ps(low, low, sum[0]);
      sum[1] = _mm512_fmadd_ps(high, high, sum[1]);
      most = _mm512_max_ps(most, _mm512_max_ps(_mm512_abs_ps(low), _mm512_abs_ps(high)));
    }
    _mm512_store_ps(squares + row * kLanes, _mm512_add_ps(sum[0], sum[1]));
    _mm512_store_ps(largest + row * kLanes, most);
  }

  /// What to multiply each row by, and in `odd` the rows that f32 cannot measure.
  __m512 scales(__mmask16& odd) const {
    const __m512 sum = across(squares, [](__m512 a, __m512 b) { return _mm512_add_ps(a, b); });
    const __m512 most = across(largest, [](__m512 a, __m512 b) { return _mm512_max_ps(a, b); });
    odd = static_cast<__mmask16>(~(_mm512_cmp_ps_mask(sum, _mm512_set1_ps(1e-30F), _CMP_GT_OQ) &
                                   _mm512_cmp_ps_mask(sum, _mm512_set1_ps(1e36F), _CMP_LT_OQ)));
    return _mm512_min_ps(_mm512_div_ps(_mm512_set1_ps(kChunkNorm), _mm512_sqrt_ps(sum)),
                         _mm512_div_ps(_mm512_set1_ps(32767.0F), most));
  }

 private:
  template <class Join>
  static __m512 across(const float* rows, Join join) {
    alignas(64) std::int32_t columns[kLanes * kLanes];
    alignas(64) std::int32_t bits[kLanes * kLanes];
    std::memcpy(bits, rows, sizeof bits);
    transpose(bits, kLanes, columns, kLanes);
    __m512 all = _mm512_castsi512_ps(_mm512_load_si512(columns));
    for (int i = 1; i < kLanes; ++i) {
      all = join(all, _mm512_castsi512_ps(_mm512_load_si512(columns + i * kLanes)));
    }
    return all;
  }
};

/// One chunk of up to 16 rows to 16 bits; row(i) is its f32 values. n a multiple of 32.
template <class Row>
inline void fix_rows(int n_rows, int n, const Row& row, std::int32_t* words, std::ptrdiff_t words_stride,
                     float* scales) {
  Measures measures;
  for (int i = 0; i < n_rows; ++i) measures.measure(i, row(i), n);
  __mmask16 odd = 0;
  alignas(64) float factors[kLanes];
  _mm512_store_ps(factors, measures.scales(odd));
  for (int i = 0; i < n_rows; ++i) {
    auto* out = reinterpret_cast<std::int16_t*>(words + i * words_stride);
    if ((odd >> static_cast<unsigned>(i) & 1U) != 0) {
      scales[i] = fix_odd_chunk(row(i), n, out);
    } else {
      round_chunk(row(i), n, factors[i], out);
      scales[i] = 1.0F / factors[i];
    }
  }
}

template <int kTokens>
[[gnu::always_inline]] inline void multiply_tokens(const TileProduct& product, int token, const TileSums& sums,
                                                   const __mmask16 (&masks)[kWide]) {
  __m512i sum[kTokens][kWide];
#pragma clang loop unroll(full)
  for (int i = 0; i < kTokens; ++i) {
#pragma clang loop unroll(full)
    for (int n = 0; n < kWide; ++n) sum[i][n] = _mm512_setzero_si512();
  }
  const std::int32_t* words = product.tokens + static_cast<std::ptrdiff_t>(token) * product.n_words;
  if (sums.before != nullptr) {
    for (int i = 0; i < kTokens * kWide; ++i) {
      _mm_prefetch(sums.before + token * kTileParams + i * kLanes, _MM_HINT_T0);
    }
  }
  for (int step = 0; step < product.n_words; ++step) {
    _mm_prefetch(words + kTokens * (product.n_words + step), _MM_HINT_T0);  // the next tokens
    __m512i rows[kWide];
#pragma clang loop unroll(full)
    for (int n = 0; n < kWide; ++n) rows[n] = _mm512_load_si512(product.params + step * kTileParams + n * kLanes);
#pragma clang loop unroll(full)
    for (int i = 0; i < kTokens; ++i) {
      const __m512i word = _mm512_set1_epi32(words[i * product.n_words + step]);
#pragma clang loop unroll(full)
      for (int n = 0; n < kWide; ++n) sum[i][n] = _mm512_dpwssd_epi32(sum[i][n], rows[n], word);
    }
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < kTokens; ++i) {
    const __m512 token_scale = _mm512_set1_ps(product.token_scales[token + i]);
#pragma clang loop unroll(full)
    for (int n = 0; n < kWide; ++n) {
      // One scale after the other: their product alone could leave the range of f32.
      const __m512 scaled =
          _mm512_mul_ps(_mm512_cvtepi32_ps(sum[i][n]), _mm512_load_ps(product.param_scales + n * kLanes));
      const __m512 before = sums.before == nullptr
                                ? _mm512_setzero_ps()
                                : _mm512_load_ps(sums.before + (token + i) * kTileParams + n * kLanes);
      _mm512_mask_storeu_ps(sums.after + (token + i) * sums.stride + n * kLanes, masks[n],
                            _mm512_fmadd_ps(scaled, token_scale, before));
    }
  }
}

}  // namespace

void fix_tokens(const float* x, std::ptrdiff_t stride, int n_tokens, int n, std::int32_t* words,
                float* scales) noexcept {
  const int n_words = words_of(n);
  for (int first = 0; first < n_tokens; first += kLanes) {
    const int n_rows = std::min(kLanes, n_tokens - first);
    const float* rows = x + first * stride;
    std::int32_t* out = words + first * n_words;
    if (2 * n_words == n) {
      fix_rows(
          n_rows, n, [&](int i) { return rows + i * stride; }, out, n_words, scales + first);
      continue;
    }
    alignas(64) float padded[kLanes][kChunk] = {};
    for (int i = 0; i < n_rows; ++i) std::memcpy(padded[i], rows + i * stride, static_cast<std::size_t>(n) * sizeof *x);
    fix_rows(
        n_rows, 2 * n_words, [&](int i) { return padded[i]; }, out, n_words, scales + first);
  }
}

void fix_params(ParamFormat type, const std::byte* rows, std::ptrdiff_t stride, int n_rows, int n, std::int32_t* words,
                float* scales) noexcept {
  const int n_words = words_of(n);
  const int together = block_of(type).n_rows;
  for (int first = 0; first < kTileParams; first += kLanes) {
    alignas(64) std::int32_t fixed[kLanes * kChunkWords];
    alignas(64) float values[kLanes][kChunk];
    const int n_here = std::clamp(n_rows - first, 0, kLanes);
    for (int i = 0; i < n_here; i += together) {
      expand(type, rows + (first + i) / together * stride, n, values[i], kChunk);
    }
    if (2 * n_words != n) {
      for (int i = 0; i < n_here; ++i) std::fill(values[i] + n, values[i] + 2 * n_words, 0.0F);
    }
    fix_rows(
        n_here, 2 * n_words, [&](int i) { return values[i]; }, fixed, kChunkWords, scales + first);
    for (int i = n_here; i < kLanes; ++i) {
      std::memset(fixed + i * kChunkWords, 0, kChunkWords * sizeof *fixed);
      scales[first + i] = 0.0F;
    }
    for (int at = 0; at < n_words; at += kLanes) {
      transpose(fixed + at, kChunkWords, words + at * kTileParams + first, kTileParams);
    }
  }
}

void prefetch_params(ParamFormat type, const std::byte* rows, std::ptrdiff_t stride, int n_rows, int n) noexcept {
  constexpr std::ptrdiff_t kLine = 64;
  const std::ptrdiff_t n_bytes = param_bytes(type, n);
  for (int i = 0; i < n_rows; i += block_of(type).n_rows, rows += stride) {
    for (std::ptrdiff_t at = 0; at < n_bytes + kLine - 1; at += kLine) _mm_prefetch(rows + at, _MM_HINT_T1);
  }
}

void multiply(const TileProduct& product, const TileSums& sums) noexcept {
  __mmask16 masks[kWide];
  for (int n = 0; n < kWide; ++n) {
    const int left = std::clamp(sums.n_rows - n * kLanes, 0, kLanes);
    masks[n] = static_cast<__mmask16>((1U << static_cast<unsigned>(left)) - 1U);
  }
  int token = 0;
  for (; token + kTileTokens <= product.n_tokens; token += kTileTokens) {
    multiply_tokens<kTileTokens>(product, token, sums, masks);
  }
  for (; token + 2 <= product.n_tokens; token += 2) multiply_tokens<2>(product, token, sums, masks);
  if (token < product.n_tokens) multiply_tokens<1>(product, token, sums, masks);
}

}  // namespace saccade::kernel

#else

// Another architecture, or a compiler that does not know VNNI: has_linear() is false there and none of this is called.
namespace saccade::kernel {
void fix_tokens(const float*, std::ptrdiff_t, int, int, std::int32_t*, float*) noexcept {}
void fix_params(ParamFormat, const std::byte*, std::ptrdiff_t, int, int, std::int32_t*, float*) noexcept {}
void prefetch_params(ParamFormat, const std::byte*, std::ptrdiff_t, int, int) noexcept {}
void multiply(const TileProduct&, const TileSums&) noexcept {}
}  // namespace saccade::kernel

#endif
