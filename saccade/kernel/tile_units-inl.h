// Two units that multiply tiles: Intel's AMX, and vectors that do the same to the last bit. Included by bf16.cc,
// linear_bf16.cc and weights_bf16.cc alone.
//
// A unit holds sums of 16 x 16 f32, `sum<i>`, and operands of 16 x 16 words of two bf16, `left<i>` and `right<i>`, in
// eight tile registers together. Four sums or more hide the latency of a product (52 cycles, one begun every 16).
// Registers are renamed, so that a load need not wait for the last product that read the old content.
//   6 sums, 1 left, 1 right    attention: three columns of rows; four loads for three products
//   4 sums, 2 left, 2 right    linear layers: four loads for four products, the fewest that eight registers allow
//   4 sums, 1 left, 1 right    a second look: 16 queries and four tiles of keys; five loads for four products

#pragma once

#include <immintrin.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "saccade/kernel/bf16.h"

namespace saccade::kernel {
namespace {

/// Rows of right operands and sums are this many bytes apart: they lie side by side, kTileRows to a row.
constexpr std::ptrdiff_t kRowBytes = kTileRows * 4;

/// Rounding to nearest, denormals as 0, nothing trapped: as the matrix unit computes whatever the thread has set, so
/// that both units, and all threads, give the same bits.
class OwnRounding {
 public:
  OwnRounding() : before_(_mm_getcsr()) { _mm_setcsr(0x9fc0); }
  ~OwnRounding() { _mm_setcsr(before_); }
  OwnRounding(const OwnRounding&) = delete;
  OwnRounding& operator=(const OwnRounding&) = delete;

 private:
  unsigned before_;
};

/// By how much 128 (1 + i / 128) exceeds 128 2^(i / 128), rounded: what the linear fraction of a logarithm is to lose
/// to become that of a number.
template <class T>
constexpr std::array<T, 128> all_dips() {
  std::array<T, 128> dips{};
  double power = 128;
  for (std::size_t i = 0; i < 128; ++i, power *= 1.005429901112802821) {  // 2^(1/128)
    const int below = static_cast<int>(power), nearest = power - below < 0.5 ? below : below + 1;
    dips[i] = static_cast<T>(128 + static_cast<int>(i) - nearest);
  }
  return dips;
}

/// Needs a MatrixSession. Inline assembly, since g++ 12's intrinsics do not say which memory they touch.
template <int kSums = 6, int kLefts = 1, int kRights = 1>
class Amx {
  static_assert(kSums + kLefts + kRights <= 8);

 public:
  template <int i>
  [[gnu::always_inline]] void zero_sum() {
    asm volatile("tilezero %%tmm%c0" : : "i"(i) : "memory");
  }
  /// `row_bytes`: from one row of 64 bytes to the next.
  template <int i>
  [[gnu::always_inline]] void load_sum(const float* from, std::ptrdiff_t row_bytes = kRowBytes) {
    load<i>(from, row_bytes);
  }
  template <int i>
  [[gnu::always_inline]] void store_sum(float* to, std::ptrdiff_t row_bytes = kRowBytes) {
    asm volatile("tilestored %%tmm%c0, (%1,%2,1)" : : "i"(i), "r"(to), "r"(row_bytes) : "memory");
  }
  template <int i = 0>
  [[gnu::always_inline]] void load_left(const std::uint32_t* tile) {
    load<kSums + i>(tile, kTileSide * 4);
  }
  /// One that comes from the second-level cache and is not wanted again soon: it takes less of the first.
  template <int i = 0>
  [[gnu::always_inline]] void load_passing_left(const std::uint32_t* tile) {
    asm volatile("tileloaddt1 (%1,%2,1), %%tmm%c0"
                 :
                 : "i"(kSums + i), "r"(tile), "r"(std::ptrdiff_t{kTileSide * 4})
                 : "memory");
  }
  template <int i = 0>
  [[gnu::always_inline]] void load_right(const std::uint32_t* from, std::ptrdiff_t row_bytes = kRowBytes) {
    load<kSums + kLefts + i>(from, row_bytes);
  }
  template <int i = 0>
  [[gnu::always_inline]] void load_passing_right(const std::uint32_t* tile) {
    asm volatile("tileloaddt1 (%1,%2,1), %%tmm%c0"
                 :
                 : "i"(kSums + kLefts + i), "r"(tile), "r"(std::ptrdiff_t{kTileSide * 4})
                 : "memory");
  }
  /// sum<i> += left<l> right<r>
  template <int i, int l = 0, int r = 0>
  [[gnu::always_inline]] void multiply() {
    static_assert(i < kSums && l < kLefts && r < kRights);
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0"
                 :
                 : "i"(i), "i"(kSums + l), "i"(kSums + kLefts + r)
                 : "memory");
  }

  /// What to take off words of two counts, each by its lowest 7 bits. AVX512_VBMI and AVX512_BF16: every CPU with AMX
  /// has them.
  class Dips {
   public:
    [[gnu::always_inline]] __m512i of(__m512i counts) const {
      asm("vpermi2b %2, %1, %0%{%3%}%{z%}" : "+v"(counts) : "v"(low_), "v"(high_), "Yk"(__mmask64{0x5555555555555555}));
      return counts;
    }

   private:
    static constexpr std::array<std::uint8_t, 128> kAll = all_dips<std::uint8_t>();
    __m512i low_ = _mm512_loadu_si512(kAll.data()), high_ = _mm512_loadu_si512(kAll.data() + 64);
  };
  /// sums + the later number of each word + the earlier.
  [[gnu::always_inline]] static __m512 add_both(__m512 sums, __m512i words) {
    asm("vdpbf16ps %2, %1, %0" : "+v"(sums) : "v"(words), "v"(_mm512_set1_epi32(0x3F803F80)));  // ones
    return sums;
  }

 private:
  template <int reg>
  [[gnu::always_inline]] static void load(const void* from, std::ptrdiff_t row_bytes) {
    asm volatile("tileloadd (%1,%2,1), %%tmm%c0" : : "i"(reg), "r"(from), "r"(row_bytes) : "memory");
  }
};

/// The definition in the manual: products of even and of odd elements are summed apart, from 0, by fused multiply-adds;
/// the two sums are added, and that to the sum so far. Denormals are 0 everywhere (the caller has set MXCSR so).
template <int kSums = 6, int kLefts = 1, int kRights = 1>
class Emulated {
 public:
  template <int i>
  void zero_sum() {
    for (int row = 0; row < kTileSide; ++row) _mm512_store_ps(sums_[i][row], _mm512_setzero_ps());
  }
  template <int i>
  void load_sum(const float* from, std::ptrdiff_t row_bytes = kRowBytes) {
    for (int row = 0; row < kTileSide; ++row) {
      _mm512_store_ps(sums_[i][row], _mm512_loadu_ps(from + row * (row_bytes / 4)));
    }
  }
  template <int i>
  void store_sum(float* to, std::ptrdiff_t row_bytes = kRowBytes) {
    for (int row = 0; row < kTileSide; ++row) {
      _mm512_storeu_ps(to + row * (row_bytes / 4), _mm512_load_ps(sums_[i][row]));
    }
  }
  template <int i = 0>
  void load_left(const std::uint32_t* tile) {
    unpack(tile, kTileSide, left_[i]);
  }
  template <int i = 0>
  void load_passing_left(const std::uint32_t* tile) {
    load_left<i>(tile);
  }
  template <int i = 0>
  void load_right(const std::uint32_t* from, std::ptrdiff_t row_bytes = kRowBytes) {
    unpack(from, row_bytes / 4, right_[i]);
  }
  template <int i = 0>
  void load_passing_right(const std::uint32_t* tile) {
    unpack(tile, kTileSide, right_[i]);
  }

  class Dips {
   public:
    __m512i of(__m512i counts) const {
      const __m512i low = _mm512_permutex2var_epi16(tables_[0], counts, tables_[1]);
      const __m512i high = _mm512_permutex2var_epi16(tables_[2], counts, tables_[3]);
      return _mm512_mask_blend_epi16(_mm512_test_epi16_mask(counts, _mm512_set1_epi16(64)), low, high);
    }

   private:
    static constexpr std::array<std::uint16_t, 128> kAll = all_dips<std::uint16_t>();
    __m512i tables_[4] = {_mm512_loadu_si512(kAll.data()), _mm512_loadu_si512(kAll.data() + 32),
                          _mm512_loadu_si512(kAll.data() + 64), _mm512_loadu_si512(kAll.data() + 96)};
  };
  static __m512 add_both(__m512 sums, __m512i words) {
    sums = _mm512_add_ps(sums, _mm512_castsi512_ps(_mm512_and_si512(words, _mm512_set1_epi32(-65536))));
    return _mm512_add_ps(sums, _mm512_castsi512_ps(_mm512_slli_epi32(words, 16)));
  }

  template <int i, int l = 0, int r = 0>
  void multiply() {
    constexpr int kHigh = 8;  // rows at a time: 16 accumulators
    for (int first = 0; first < kTileSide; first += kHigh) {
      __m512 even[kHigh], odd[kHigh];
#pragma clang loop unroll(full)
      for (int row = 0; row < kHigh; ++row) even[row] = odd[row] = _mm512_setzero_ps();
      for (int k = 0; k < kTileSide; ++k) {
        const __m512 right_even = _mm512_load_ps(right_[r][k][0]), right_odd = _mm512_load_ps(right_[r][k][1]);
#pragma clang loop unroll(full)
        for (int row = 0; row < kHigh; ++row) {
          even[row] = _mm512_fmadd_ps(_mm512_set1_ps(left_[l][first + row][0][k]), right_even, even[row]);
          odd[row] = _mm512_fmadd_ps(_mm512_set1_ps(left_[l][first + row][1][k]), right_odd, odd[row]);
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
  static void unpack(const std::uint32_t* from, std::ptrdiff_t stride, float (&to)[kTileSide][2][kTileSide]) {
    for (int row = 0; row < kTileSide; ++row) {
      const __m512i words = _mm512_loadu_si512(from + row * stride);
      _mm512_store_ps(to[row][0], _mm512_castsi512_ps(_mm512_slli_epi32(words, 16)));
      _mm512_store_ps(to[row][1], _mm512_castsi512_ps(_mm512_and_si512(words, _mm512_set1_epi32(-65536))));
    }
  }

  alignas(64) float sums_[kSums][kTileSide][kTileSide];
  alignas(64) float left_[kLefts][kTileSide][2][kTileSide];  // [row, even or odd, column]
  alignas(64) float right_[kRights][kTileSide][2][kTileSide];
};

}  // namespace
}  // namespace saccade::kernel
