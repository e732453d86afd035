// Matrix products in bf16 tiles by themselves: rounding, layout, and sums to the bit of the manual's definition. On a
// machine without a matrix unit the emulation stands for both.

#include "saccade/kernel/linear_bf16.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "hwy/highway.h"
#include "saccade/kernel/linear.h"
#include "saccade/kernel/matrix_unit.h"
#include "saccade/kernel/targets.h"
#include "tests/support/dtype.h"
#include "tests/support/random.h"

#if HWY_ARCH_X86

// What follows may hold AVX-512 instructions; it is called after has_bf16() said yes.
HWY_PUSH_ATTRIBUTES("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")
#include "saccade/kernel/bf16_words-inl.h"

namespace saccade::kernel {
namespace {

template <class Rounding>
[[gnu::noinline]] void round_by(const float* x, std::uint32_t* words) {
  _mm512_storeu_si512(words, Rounding::words(_mm512_loadu_ps(x), _mm512_loadu_ps(x + 16)));
}

}  // namespace
}  // namespace saccade::kernel
HWY_POP_ATTRIBUTES

namespace saccade::kernel {
namespace {

using testing::Random;

struct alignas(64) TileOfWords {
  std::uint32_t words[kTileWords];
};
/// Tiles that start as NaN.
using Tiles = std::vector<TileOfWords>;
Tiles tiles_of(int n) {
  Tiles tiles(static_cast<std::size_t>(n));
  std::memset(static_cast<void*>(tiles.data()), 0xFF, tiles.size() * sizeof(TileOfWords));
  return tiles;
}

std::uint16_t bf16_of(float x) {
  const std::uint16_t bits = testing::encode_bf16(x);
  return std::fabs(x) < 0x1p-126F ? bits & 0x8000U : bits;  // denormals become 0
}
std::uint16_t half(const std::uint32_t* words, int at) {
  return static_cast<std::uint16_t>(words[at / 2] >> static_cast<unsigned>(at % 2 * 16));
}

class LinearBf16 : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_bf16() || !has_linear()) GTEST_SKIP() << "this CPU has no AVX-512 VNNI";
  }
};

void expect_rounds(void (*round)(const float*, std::uint32_t*)) {
  Random random(1);
  for (int n = 0; n < 4000; ++n) {
    float x[32];
    std::uint32_t words[16];
    for (float& value : x) {
      auto bits = static_cast<std::uint32_t>(random.between(0, 0xFFFFFFFF));
      if (random.one_in(4)) bits = (bits & 0xFFFF0000U) | 0x8000U;       // a tie
      if (random.one_in(8)) bits |= 0x7F800000U;                         // NaN
      if (random.one_in(8)) bits &= 0x807FFFFFU;                         // a denormal
      if (random.one_in(16)) bits = (bits & 0x80000000U) | 0x7F800000U;  // inf
      if (random.one_in(16)) bits = (bits & 0x80000000U) | 0x7F7FFFFFU;  // the largest, which rounds to inf
      if (random.one_in(16)) bits = (bits & 0x80000000U) | 0x007FFFFFU;  // the largest denormal
      if (random.one_in(16)) bits = (bits & 0x80000000U) | 0x7FFFFFFFU;  // NaN that would carry into the sign
      if (random.one_in(16)) bits = (bits & 0x80000000U) | 0x7F800001U;  // NaN whose only bit is cut off
      value = std::bit_cast<float>(bits);
    }
    round(x, words);
    for (int i = 0; i < 32; ++i) ASSERT_EQ(half(words, i), bf16_of(x[i])) << std::bit_cast<std::uint32_t>(x[i]);
  }
}

TEST_F(LinearBf16, IntegersRoundToTheNearest) { expect_rounds(round_by<RoundByIntegers>); }

TEST_F(LinearBf16, TheInstructionRoundsToTheNearest) {
  if (!__builtin_cpu_supports("avx512bf16")) GTEST_SKIP() << "this CPU has no such instruction";
  expect_rounds(round_by<RoundByInstruction>);
}

/// The n-th term of a number.
std::uint16_t term_of(float x, bool low) { return low ? bf16_of(x - testing::decode_bf16(bf16_of(x))) : bf16_of(x); }

TEST_F(LinearBf16, TokensLieInRowsOfTilesTermByTerm) {
  Random random(2);
  for (const int terms : {1, 2, 3}) {
    for (const int n : {0, 1, 15, 16, 17, 31, 32, 33, 64, 300}) {
      const int n_dims = std::max(n, 33), n_steps = steps_of(n_dims, terms);
      std::vector<float> x;
      for (int i = 0; i < n; ++i) x.push_back(random.normal());
      Tiles tiles = tiles_of(n_steps);
      constexpr int kRow = 5;
      round_token(x.data(), n, n_dims, terms, tiles[0].words + kRow * kTileSide);
      for (int step = 0; step < n_steps; ++step) {
        for (int at = 0; at < 2 * kTileWords; ++at) {
          const int dim = step / terms * kStepDims + at % 32;
          const std::uint16_t there = dim < n ? term_of(x[static_cast<std::size_t>(dim)], step % terms == 1) : 0;
          ASSERT_EQ(half(tiles[static_cast<std::size_t>(step)].words, at), at / 32 == kRow ? there : 0xFFFF)
              << n << ", step " << step << ", " << at;
        }
      }
    }
  }
}

void expect_params(ParamFormat type, int n_rows, int n) {
  Random random(3);
  const int gap = n + 3, terms = terms_of(type);
  const bool wide = type == ParamFormat::f16;
  std::vector<std::uint16_t> params;
  for (int i = 0; i < n_rows * gap; ++i)
    params.push_back(wide ? testing::encode_f16(random.normal()) : bf16_of(random.normal()));
  Tiles tiles = tiles_of(steps_of(n, terms) + 1);
  round_params(type, reinterpret_cast<const std::byte*>(params.data()), std::ptrdiff_t{2} * gap, n_rows, n,
               tiles[0].words);
  for (int step = 0; step < steps_of(n, terms); ++step) {
    for (int i = 0; i < kStepDims; ++i) {
      for (int row = 0; row < kTileSide; ++row) {
        const int dim = step / terms * kStepDims + i;
        std::uint16_t expected = 0;
        if (row < n_rows && dim < n) {
          const std::uint16_t bits = params[static_cast<std::size_t>(row * gap + dim)];
          expected = term_of(wide ? testing::decode_f16(bits) : testing::decode_bf16(bits), step % terms == 2);
        }
        const std::uint32_t* tile = tiles[static_cast<std::size_t>(step)].words;
        ASSERT_EQ(half(tile + i / 2 * kTileSide + row, i % 2), expected)
            << block_of(type).name << ", " << n_rows << " rows, " << n << ", row " << row << ", step " << step;
      }
    }
  }
  for (const std::uint32_t word : tiles.back().words) ASSERT_EQ(word, 0xFFFFFFFFU) << "written behind the end";
}

TEST_F(LinearBf16, ParametersLieInColumnsOfTilesTermByTerm) {
  for (const ParamFormat type : {ParamFormat::bf16, ParamFormat::f16}) {
    for (const int n_rows : {1, 15, 16}) {
      for (const int n : {1, 31, 32, 255, 256, 257, 700}) expect_params(type, n_rows, n);
    }
  }
}

/// Tokens and rows as tiles and as the numbers in them.
struct Problem {
  Problem(std::uint64_t seed, int tokens, int rows, int dims)
      : n_tokens(tokens), n_rows(rows), n_steps(steps_of(dims, 1)), width(n_steps * kStepDims) {
    Random random(seed);
    for (int t = 0; t < round_up(n_tokens, kTileSide); ++t) {
      for (int d = 0; d < width; ++d) x.push_back(t < n_tokens && d < dims ? number(random) : 0.0F);
    }
    for (int r = 0; r < round_up(n_rows, kTileSide); ++r) {
      for (int d = 0; d < width; ++d) params.push_back(r < n_rows && d < dims ? number(random) : 0.0F);
    }
    left = tiles_of(round_up(n_tokens, kTileSide) / kTileSide * n_steps);
    right = tiles_of(round_up(n_rows, kTileSide) / kTileSide * n_steps);
    fill();
  }
  static float number(Random& random) { return testing::decode_bf16(bf16_of(random.normal())); }

  void fill() {
    for (int t = 0; t < round_up(n_tokens, kTileSide); ++t) {
      round_token(&x[static_cast<std::size_t>(t * width)], width, width, 1,
                  left[static_cast<std::size_t>(t / kTileSide * n_steps)].words + t % kTileSide * kTileSide);
    }
    for (int r = 0; r < round_up(n_rows, kTileSide); ++r) {  // pairs of dimensions, rows side by side
      for (int d = 0; d < width; ++d) {
        std::uint32_t* tile = right[static_cast<std::size_t>(r / kTileSide * n_steps + d / kStepDims)].words;
        std::uint32_t& word = tile[d % kStepDims / 2 * kTileSide + r % kTileSide];
        const std::uint32_t bits = bf16_of(params[static_cast<std::size_t>(r * width + d)]);
        word = d % 2 == 0 ? bits : word | bits << 16U;
      }
    }
  }

  Bf16Product product() const {
    return {left[0].words, std::ptrdiff_t{n_steps} * kTileWords, right[0].words, n_steps, n_tokens, n_rows};
  }

  /// TDPBF16PS in the manual, one tile product after the other.
  float defined(int token, int row, float sum) const {
    for (int step = 0; step < n_steps; ++step) {
      float parts[2] = {0.0F, 0.0F};
      for (int i = 0; i < kStepDims; ++i) {
        const auto d = static_cast<std::size_t>(step * kStepDims + i);
        parts[i % 2] = std::fma(x[static_cast<std::size_t>(token * width) + d],
                                params[static_cast<std::size_t>(row * width) + d], parts[i % 2]);
      }
      sum += parts[0] + parts[1];
    }
    return sum;
  }

  int n_tokens, n_rows, n_steps, width;
  std::vector<float> x, params;
  Tiles left, right;
};

constexpr float kUntouched = -77.0F;

/// y [n_tokens, stride] and one row more, all untouched before.
std::vector<float> run(const Problem& p, std::ptrdiff_t stride) {
  std::vector<float> y(static_cast<std::size_t>((p.n_tokens + 1) * stride), kUntouched);
  const MatrixSession session;
  multiply_bf16(p.product(), {.y = y.data(), .stride = stride});
  return y;
}

TEST_F(LinearBf16, MultipliesAsDefinedInAnyShapeAndWritesNothingElse) {
  for (const int n_tokens : {1, 15, 16, 17, 32, 33, 48, 50, 64}) {
    for (const int n_rows : {1, 16, 31, 32, 33, 49, 64}) {
      const Problem p(static_cast<std::uint64_t>(100 * n_tokens + n_rows), n_tokens, n_rows, n_tokens % 2 ? 77 : 160);
      const std::ptrdiff_t stride = n_rows + 3;
      const std::vector<float> y = run(p, stride);
      for (int t = 0; t <= n_tokens; ++t) {
        for (int r = 0; r < stride; ++r) {
          const float expected = t < n_tokens && r < n_rows ? p.defined(t, r, 0.0F) : kUntouched;
          ASSERT_EQ(y[static_cast<std::size_t>(t * stride + r)], expected)
              << n_tokens << " tokens, " << n_rows << " rows, at " << t << ", " << r;
        }
      }
    }
  }
}

TEST_F(LinearBf16, AddsToWhatIsThere) {
  const Problem p(5, 35, 37, 96);
  std::vector<float> y;
  Random random(6);
  for (int i = 0; i < 35 * 37; ++i) y.push_back(random.normal());
  const std::vector<float> before = y;
  const MatrixSession session;
  multiply_bf16(p.product(), {.y = y.data(), .stride = 37, .add = true});
  for (int t = 0; t < 35; ++t) {
    for (int r = 0; r < 37; ++r) {
      const auto at = static_cast<std::size_t>(t * 37 + r);
      ASSERT_EQ(y[at], p.defined(t, r, before[at])) << t << ", " << r;
    }
  }
}

TEST_F(LinearBf16, CuttingTheDimensionsChangesNoBit) {
  const Problem p(7, 40, 48, 32 * 7);
  const std::vector<float> whole = run(p, 48);
  std::vector<float> y(whole.size(), kUntouched);
  const MatrixSession session;
  for (int first = 0; first < p.n_steps;) {
    const int n = std::min(3, p.n_steps - first);
    Tiles right = tiles_of(3 * n);
    for (int r = 0; r < 3; ++r) {
      for (int s = 0; s < n; ++s)
        right[static_cast<std::size_t>(r * n + s)] = p.right[static_cast<std::size_t>(r * p.n_steps + first + s)];
    }
    Bf16Product part = p.product();
    part.tokens += first * kTileWords, part.params = right[0].words, part.n_steps = n;
    multiply_bf16(part, {.y = y.data(), .stride = 48, .add = first > 0});
    first += n;
  }
  EXPECT_EQ(y, whole);
}

TEST_F(LinearBf16, ResultsGoWhereEachTokenWantsThem) {
  const Problem p(8, 35, 50, 96);
  const std::vector<float> together = run(p, 50);
  std::vector<float> y(35 * 60, kUntouched);
  std::vector<float*> rows;
  for (std::size_t t = 0; t < 35; ++t) rows.push_back(y.data() + (34 - t) * 60 + t % 7);
  const MatrixSession session;
  for (const bool add : {false, true}) {
    if (add) {
      for (float& value : y) value = value == kUntouched ? value : 0.0F;
    }
    multiply_bf16(p.product(), {.rows = rows.data(), .add = add});
    for (std::size_t t = 0; t < 35; ++t) {
      EXPECT_EQ(std::vector<float>(rows[t], rows[t] + 50),
                std::vector<float>(together.begin() + static_cast<std::ptrdiff_t>(t * 50),
                                   together.begin() + static_cast<std::ptrdiff_t>(t * 50 + 50)))
          << t;
      for (float* gap = rows[t] + 50; gap < y.data() + (35 - t) * 60; ++gap) EXPECT_EQ(*gap, kUntouched);
    }
  }
}

TEST_F(LinearBf16, WhatIsNotFiniteStaysInItsTokenAndItsRow) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const float poison : {inf, -inf, nan}) {
    Problem p(9, 34, 40, 64);
    const std::vector<float> clean = run(p, 40);
    p.x[static_cast<std::size_t>(17 * p.width + 40)] = poison;
    p.params[static_cast<std::size_t>(33 * p.width + 3)] = poison;
    p.fill();
    const std::vector<float> y = run(p, 40);
    for (std::size_t at = 0; at < 34 * 40; ++at) {
      if (at / 40 == 17 || at % 40 == 33) {
        EXPECT_FALSE(std::isfinite(y[at])) << at;
      } else {
        EXPECT_EQ(y[at], clean[at]) << at;
      }
    }
  }
}

/// As a thread of somebody else's may have set it.
TEST_F(LinearBf16, TheThreadsOwnRoundingChangesNoBit) {
  const Problem p(10, 20, 20, 300);
  const std::vector<float> plain = run(p, 20);
  unsigned before = 0;
  asm volatile("stmxcsr %0" : "=m"(before));
  const unsigned upwards = (before & ~0x6000U) | 0x4000U;
  asm volatile("ldmxcsr %0" : : "m"(upwards));
  const std::vector<float> y = run(p, 20);
  unsigned after = 0;
  asm volatile("stmxcsr %0" : "=m"(after));
  asm volatile("ldmxcsr %0" : : "m"(before));
  EXPECT_EQ(y, plain);
  EXPECT_EQ(after & 0x6000U, 0x4000U) << "what the thread had set is put back";
}

TEST_F(LinearBf16, TheMatrixUnitAndItsEmulationGiveTheSameBits) {
  if (!has_bf16_tiles()) GTEST_SKIP() << matrix_unit_status();
  for (const int n_tokens : {5, 32, 50}) {
    const Problem p(static_cast<std::uint64_t>(n_tokens), n_tokens, 70, 500);
    const std::vector<float> best = run(p, 75);
    force_target("AVX3");
    const std::vector<float> emulated = run(p, 75);
    force_target("");
    EXPECT_EQ(best, emulated) << n_tokens;
  }
}

}  // namespace
}  // namespace saccade::kernel

#endif
