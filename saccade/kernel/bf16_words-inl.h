// Vectors of numbers and of words, as the kernels in bf16 tiles handle them. Included by bf16.cc, linear_bf16.cc and
// weights_bf16.cc alone.

#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "saccade/kernel/bf16.h"

namespace saccade::kernel {
namespace {

/// rows[i] lane j becomes rows[j] lane i.
inline void transpose(__m512i (&rows)[kTileSide]) {
  __m512i quads[kTileSide];
  for (int i = 0; i < kTileSide; i += 4) {
    const __m512i a = _mm512_unpacklo_epi32(rows[i], rows[i + 1]), b = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    const __m512i c = _mm512_unpacklo_epi32(rows[i + 2], rows[i + 3]),
                  d = _mm512_unpackhi_epi32(rows[i + 2], rows[i + 3]);
    quads[i] = _mm512_unpacklo_epi64(a, c), quads[i + 1] = _mm512_unpackhi_epi64(a, c);
    quads[i + 2] = _mm512_unpacklo_epi64(b, d), quads[i + 3] = _mm512_unpackhi_epi64(b, d);
  }
  for (int i = 0; i < 4; ++i) {  // quads[i + 4 n]: column i of each 128-bit lane, rows 4 n to 4 n + 3
    const __m512i a = _mm512_shuffle_i32x4(quads[i], quads[i + 4], 0x88);
    const __m512i b = _mm512_shuffle_i32x4(quads[i + 8], quads[i + 12], 0x88);
    const __m512i c = _mm512_shuffle_i32x4(quads[i], quads[i + 4], 0xdd);
    const __m512i d = _mm512_shuffle_i32x4(quads[i + 8], quads[i + 12], 0xdd);
    rows[i] = _mm512_shuffle_i32x4(a, b, 0x88), rows[i + 8] = _mm512_shuffle_i32x4(a, b, 0xdd);
    rows[i + 4] = _mm512_shuffle_i32x4(c, d, 0x88), rows[i + 12] = _mm512_shuffle_i32x4(c, d, 0xdd);
  }
}

/// The first n numbers, at most sixteen, and zeros.
inline __m512 load_some(const float* from, int n) {
  const unsigned lanes = n >= kTileSide ? 0xffff : (1U << n) - 1;
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>(lanes), from);
}

/// 32 numbers to the nearest bf16, ties to even, in order: word j holds numbers 2 j and 2 j + 1. NaN stays NaN, inf
/// inf; denormals become 0, as the matrix unit reads them.
struct RoundByInstruction {  // every CPU with AMX has it (AVX512_BF16); inline assembly, since no other code may
  static __m512i words(__m512 first, __m512 second) {
    __m512i out;
    asm("vcvtne2ps2bf16 %2, %1, %0" : "=v"(out) : "v"(second), "v"(first));
    return out;
  }
};

/// The same bits on any CPU with AVX-512.
struct RoundByIntegers {
  static __m512i words(__m512 first, __m512 second) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(half(first)), half(second), 1);
  }

 private:
  static __m256i half(__m512 values) {
    constexpr int kNaN = 0x81, kDenormal = 0x20;
    const __m512i bits = _mm512_castps_si512(values);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i nearest = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    nearest = _mm512_mask_or_epi32(nearest, _mm512_fpclass_ps_mask(values, kNaN), bits, _mm512_set1_epi32(0x400000));
    nearest = _mm512_mask_and_epi32(nearest, _mm512_fpclass_ps_mask(values, kDenormal), bits,
                                    _mm512_set1_epi32(static_cast<int>(0x80000000)));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(nearest, 16));
  }
};

inline bool has_rounding() noexcept {
  static const bool cpu = __builtin_cpu_supports("avx512bf16");
  return cpu;
}

/// What rounding left: 32 numbers less the words that they were rounded to, exact. Not finite where they are not.
inline void take_away(__m512i words, __m512& first, __m512& second) {
  const auto numbers = [](__m256i halves) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
  };
  first = _mm512_sub_ps(first, numbers(_mm512_castsi512_si256(words)));
  second = _mm512_sub_ps(second, numbers(_mm512_extracti64x4_epi64(words, 1)));
}

}  // namespace
}  // namespace saccade::kernel
