// A tile product, by both units, against its definition in the manual, to the bit.

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "hwy/highway.h"
#include "saccade/kernel/matrix_unit.h"
#include "tests/support/dtype.h"
#include "tests/support/random.h"

#if HWY_ARCH_X86

// What follows may hold AVX-512 instructions; it is called after has_bf16() said yes.
HWY_PUSH_ATTRIBUTES("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")
#include "saccade/kernel/tile_units-inl.h"

namespace saccade::kernel {
namespace {

struct Operands {
  alignas(64) std::uint32_t left[kTileSide * kTileSide];
  alignas(64) std::uint32_t right[kTileSide * kTileRows];
  alignas(64) float sum[kTileSide * kTileRows];
};

/// sum += left right, `n_times` over, on sums 0 and 5.
template <class Unit>
[[gnu::noinline]] void multiply_on(Operands& data, int n_times) {
  const unsigned before = _mm_getcsr();
  _mm_setcsr(0x9fc0);  // as visit_bf16 sets it
  Unit unit;
  unit.template load_sum<0>(data.sum);
  unit.template zero_sum<5>();
  unit.load_left(data.left);
  unit.load_right(data.right);
  for (int n = 0; n < n_times; ++n) {
    unit.template multiply<0>();
    unit.template multiply<5>();
  }
  unit.template store_sum<0>(data.sum);
  unit.template store_sum<5>(data.sum + kTileSide);
  _mm_setcsr(before);
}

/// Two lefts and two rights in registers at once: sums [2, 2] of left<i> right<j>, side by side.
template <class Unit>
[[gnu::noinline]] void multiply_two_by_two(const Operands (&data)[2], float* sums) {
  const unsigned before = _mm_getcsr();
  _mm_setcsr(0x9fc0);
  constexpr std::ptrdiff_t kRow = 2 * kTileSide * 4;
  Unit unit;
  unit.template zero_sum<0>();
  unit.template zero_sum<1>();
  unit.template zero_sum<2>();
  unit.template load_sum<3>(sums + 2 * kTileSide * kTileSide + kTileSide, kRow);
  unit.template load_left<0>(data[0].left);
  unit.template load_left<1>(data[1].left);
  unit.template load_right<0>(data[0].right, kRowBytes);
  unit.template load_right<1>(data[1].right, kRowBytes);
  unit.template multiply<0, 0, 0>();
  unit.template multiply<1, 0, 1>();
  unit.template multiply<2, 1, 0>();
  unit.template multiply<3, 1, 1>();
  unit.template store_sum<0>(sums, kRow);
  unit.template store_sum<1>(sums + kTileSide, kRow);
  unit.template store_sum<2>(sums + 2 * kTileSide * kTileSide, kRow);
  unit.template store_sum<3>(sums + 2 * kTileSide * kTileSide + kTileSide, kRow);
  _mm_setcsr(before);
}

}  // namespace
}  // namespace saccade::kernel
HWY_POP_ATTRIBUTES

namespace saccade::kernel {
namespace {

float flush(float x) { return std::fabs(x) < 0x1p-126F ? std::copysign(0.0F, x) : x; }
float element(std::uint32_t word, int odd) {
  return flush(testing::decode_bf16(static_cast<std::uint16_t>(word >> (odd * 16))));
}

/// TDPBF16PS in the Software Developer's Manual, line by line, for one element.
float defined(const Operands& data, int row, int column, float sum) {
  float parts[2] = {0.0F, 0.0F};
  for (int k = 0; k < kTileSide; ++k) {
    for (int odd = 0; odd < 2; ++odd) {
      const float a = element(data.left[row * kTileSide + k], odd);
      const float b = element(data.right[k * kTileRows + column], odd);
      parts[odd] = flush(std::fma(a, b, parts[odd]));
    }
  }
  return flush(flush(sum) + flush(parts[0] + parts[1]));
}

/// bf16 of all sizes: with products far apart, near the smallest numbers, and beyond.
std::uint32_t random_word(testing::Random& random, int exponents, int exponent) {
  std::uint32_t word = 0;
  for (int half = 0; half < 2; ++half) {
    const float x = std::ldexp(random.normal(), static_cast<int>(random.between(-exponents, exponents)) + exponent);
    word = word << 16 | testing::encode_bf16(random.one_in(20) ? 0.0F : x);
  }
  return word;
}

using Multiply = void (*)(Operands&, int);

void expect_defined(Multiply multiply) {
  testing::Random random(7);
  for (const int exponent : {0, -63, -65, 60}) {
    for (const int exponents : {0, 3, 12}) {
      Operands data;
      for (std::uint32_t& word : data.left) word = random_word(random, exponents, exponent);
      for (std::uint32_t& word : data.right) word = random_word(random, exponents, exponent);
      for (float& x : data.sum) x = std::ldexp(random.normal(), 2 * exponent);
      const std::vector<float> before(data.sum, data.sum + kTileSide * kTileRows);
      constexpr int kTimes = 3;
      multiply(data, kTimes);
      for (int row = 0; row < kTileSide; ++row) {
        for (int column = 0; column < 2 * kTileSide; ++column) {
          float expected = column < kTileSide ? before[static_cast<std::size_t>(row * kTileRows + column)] : 0.0F;
          for (int n = 0; n < kTimes; ++n) expected = defined(data, row, column % kTileSide, expected);
          ASSERT_EQ(std::bit_cast<std::uint32_t>(data.sum[row * kTileRows + column]),
                    std::bit_cast<std::uint32_t>(expected))
              << "row " << row << ", column " << column << ", exponents " << exponent << " +- " << exponents;
        }
      }
      for (int n = 0; n < kTileSide; ++n) {
        ASSERT_EQ(data.sum[n * kTileRows + 2 * kTileSide], before[static_cast<std::size_t>(n * kTileRows + 32)]);
      }
    }
  }
}

using MultiplyTwoByTwo = void (*)(const Operands (&)[2], float*);

void expect_two_by_two(MultiplyTwoByTwo multiply) {
  testing::Random random(8);
  Operands data[2];
  for (Operands& one : data) {
    for (std::uint32_t& word : one.left) word = random_word(random, 2, 0);
    for (std::uint32_t& word : one.right) word = random_word(random, 2, 0);
  }
  constexpr int kSide = 2 * kTileSide;
  alignas(64) float sums[kSide * kSide];
  for (float& x : sums) x = random.normal();
  const std::vector<float> before(sums, sums + kSide * kSide);
  multiply(data, sums);
  for (int row = 0; row < kSide; ++row) {
    for (int column = 0; column < kSide; ++column) {
      Operands operands = data[row / kTileSide];
      std::copy(std::begin(data[column / kTileSide].right), std::end(data[column / kTileSide].right), operands.right);
      const int at = row * kSide + column;
      const bool added = row >= kTileSide && column >= kTileSide;  // sum 3 begins with what is there
      const float expected =
          defined(operands, row % kTileSide, column % kTileSide, added ? before[static_cast<std::size_t>(at)] : 0.0F);
      ASSERT_EQ(std::bit_cast<std::uint32_t>(sums[at]), std::bit_cast<std::uint32_t>(expected))
          << row << ", " << column;
    }
  }
}

TEST(TileUnits, TheEmulationHoldsTwoOperandsOfEachSide) {
  if (!has_bf16()) GTEST_SKIP() << "this CPU has no AVX-512";
  expect_two_by_two(multiply_two_by_two<Emulated<4, 2, 2>>);
}

TEST(TileUnits, TheMatrixUnitHoldsTwoOperandsOfEachSide) {
  if (!has_bf16_tiles()) GTEST_SKIP() << matrix_unit_status();
  const MatrixSession session;
  expect_two_by_two(multiply_two_by_two<Amx<4, 2, 2>>);
}

TEST(TileUnits, TheEmulationMultipliesAsDefined) {
  if (!has_bf16()) GTEST_SKIP() << "this CPU has no AVX-512";
  expect_defined(multiply_on<Emulated<>>);
}

TEST(TileUnits, TheMatrixUnitMultipliesAsDefined) {
  if (!has_bf16_tiles()) GTEST_SKIP() << matrix_unit_status();
  const MatrixSession session;
  expect_defined(multiply_on<Amx<>>);
}

}  // namespace
}  // namespace saccade::kernel

#endif
