// Vectors of numbers and of words, as the kernels in bf16 tiles handle them. Included by bf16.cc and linear_bf16.cc
// alone.

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

}  // namespace
}  // namespace saccade::kernel
