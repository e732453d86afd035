// Two units that multiply tiles: Intel's AMX, and vectors that do the same to the last bit. Included by bf16.cc alone.
//
// A unit holds six sums of 16 x 16 f32, `sum<i>`, and two operands of 16 x 16 words of two bf16, `left` and `right`.
// Six sums hide the latency of a product (52 cycles, one begun every 16) and leave just two of eight tile registers for
// the operands; registers are renamed, so that a load need not wait for the last product that read the old content.

#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "saccade/kernel/bf16.h"

namespace saccade::kernel {
namespace {

/// Rows of right operands and sums are this many bytes apart: they lie side by side, kTileRows to a row.
constexpr std::ptrdiff_t kRowBytes = kTileRows * 4;

/// Needs a MatrixSession. Inline assembly, since g++ 12's intrinsics do not say which memory they touch.
class Amx {
 public:
  template <int i>
  [[gnu::always_inline]] void zero_sum() {
    asm volatile("tilezero %%tmm%c0" : : "i"(i) : "memory");
  }
  template <int i>
  [[gnu::always_inline]] void load_sum(const float* from) {
    asm volatile("tileloadd (%1,%2,1), %%tmm%c0" : : "i"(i), "r"(from), "r"(kRowBytes) : "memory");
  }
  template <int i>
  [[gnu::always_inline]] void store_sum(float* to) {
    asm volatile("tilestored %%tmm%c0, (%1,%2,1)" : : "i"(i), "r"(to), "r"(kRowBytes) : "memory");
  }
  [[gnu::always_inline]] void load_left(const std::uint32_t* tile) {
    asm volatile("tileloadd (%0,%1,1), %%tmm6" : : "r"(tile), "r"(std::ptrdiff_t{kTileSide * 4}) : "memory");
  }
  [[gnu::always_inline]] void load_right(const std::uint32_t* from) {
    asm volatile("tileloadd (%0,%1,1), %%tmm7" : : "r"(from), "r"(kRowBytes) : "memory");
  }
  /// sum<i> += left right
  template <int i>
  [[gnu::always_inline]] void multiply() {
    asm volatile("tdpbf16ps %%tmm7, %%tmm6, %%tmm%c0" : : "i"(i) : "memory");
  }
};

/// The definition in the manual: products of even and of odd elements are summed apart, from 0, by fused multiply-adds;
/// the two sums are added, and that to the sum so far. Denormals are 0 everywhere (the caller has set MXCSR so).
class Emulated {
 public:
  template <int i>
  void zero_sum() {
    for (int row = 0; row < kTileSide; ++row) _mm512_store_ps(sums_[i][row], _mm512_setzero_ps());
  }
  template <int i>
  void load_sum(const float* from) {
    for (int row = 0; row < kTileSide; ++row) {
      _mm512_store_ps(sums_[i][row], _mm512_loadu_ps(from + row * kTileRows));
    }
  }
  template <int i>
  void store_sum(float* to) {
    for (int row = 0; row < kTileSide; ++row) {
      _mm512_storeu_ps(to + row * kTileRows, _mm512_load_ps(sums_[i][row]));
    }
  }
  void load_left(const std::uint32_t* tile) { unpack(tile, kTileSide, left_); }
  void load_right(const std::uint32_t* from) { unpack(from, kTileRows, right_); }

  template <int i>
  void multiply() {
    constexpr int kHigh = 8;  // rows at a time: 16 accumulators
    for (int first = 0; first < kTileSide; first += kHigh) {
      __m512 even[kHigh], odd[kHigh];
#pragma clang loop unroll(full)
      for (int row = 0; row < kHigh; ++row) even[row] = odd[row] = _mm512_setzero_ps();
      for (int k = 0; k < kTileSide; ++k) {
        const __m512 right_even = _mm512_load_ps(right_[k][0]), right_odd = _mm512_load_ps(right_[k][1]);
#pragma clang loop unroll(full)
        for (int row = 0; row < kHigh; ++row) {
          even[row] = _mm512_fmadd_ps(_mm512_set1_ps(left_[first + row][0][k]), right_even, even[row]);
          odd[row] = _mm512_fmadd_ps(_mm512_set1_ps(left_[first + row][1][k]), right_odd, odd[row]);
        }
      }
#pragma clang loop unroll(full)
      for (int row = 0; row < kHigh; ++row) {
        float* sum = sums_[i][first + row];
        _mm512_store_ps(sum, _mm512_add_ps(_mm512_load_ps(sum), _mm512_add_ps(even[row], odd[row])));
      }
    }
  }

 private:
  static void unpack(const std::uint32_t* from, int stride, float (&to)[kTileSide][2][kTileSide]) {
    for (int row = 0; row < kTileSide; ++row) {
      const __m512i words = _mm512_loadu_si512(from + row * stride);
      _mm512_store_ps(to[row][0], _mm512_castsi512_ps(_mm512_slli_epi32(words, 16)));
      _mm512_store_ps(to[row][1], _mm512_castsi512_ps(_mm512_and_si512(words, _mm512_set1_epi32(-65536))));
    }
  }

  alignas(64) float sums_[6][kTileSide][kTileSide];
  alignas(64) float left_[kTileSide][2][kTileSide], right_[kTileSide][2][kTileSide];  // [row, even or odd, column]
};

}  // namespace
}  // namespace saccade::kernel
