// The kernel of the second look in bf16 by itself: against fp64 on the same rounded operands, and the matrix unit
// against its emulation, to the bit.

#include "saccade/kernel/weights_bf16.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "saccade/base/buffer.h"
#include "saccade/kernel/matrix_unit.h"
#include "saccade/kernel/targets.h"
#include "saccade/oracle/bf16.h"
#include "tests/support/random.h"

namespace saccade::kernel {
namespace {

using testing::Random;

constexpr int kQueries = 64;

class WeightsBf16 : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_bf16()) GTEST_SKIP() << "this CPU has no AVX-512";
  }
};

/// Random queries and keys in tiles, and room for their weights, which starts as NaN.
struct Case {
  explicit Case(std::uint64_t seed) : random(seed) {
    n_queries = static_cast<int>(random.between(1, kQueries));
    n_keys = random.one_in(2) ? kBlockKeys : static_cast<int>(random.between(1, kBlockKeys));
    head_dim = 8 * static_cast<int>(random.between(4, 20));
    rule.scale = 1.0F / std::sqrt(static_cast<float>(head_dim));
    q = rows(n_queries), k = rows(n_keys);
    const Pos q_words = bf16_k_words(head_dim, kQueries), k_words = bf16_k_words(head_dim);
    memory.reserve(static_cast<std::size_t>(q_words + k_words + kQueries * kBlockKeys) * 4);
    Layout layout(memory.data());
    q_tiles = layout.take<std::uint32_t>(q_words), k_tiles = layout.take<std::uint32_t>(k_words);
    weights = layout.take<float>(kQueries * kBlockKeys);
    std::fill_n(k_tiles, k_words, 0U);
    EXPECT_TRUE(round(q, n_queries, q_tiles) && round(k, n_keys, k_tiles));
    turn_tiles(k_tiles, static_cast<int>(k_words / kTileWords));
    for (int i = 0; i < n_queries; ++i) lse.push_back(6.0 + random.normal());
  }

  Bf16WeightsJob job() const {
    return {
        .q = q_tiles, .k = k_tiles, .lse = lse.data(), .n_queries = n_queries, .n_keys = n_keys, .head_dim = head_dim};
  }
  void find(const Bf16WeightsJob& what) {
    std::fill_n(weights, kQueries * kBlockKeys, std::numeric_limits<float>::quiet_NaN());
    const MatrixSession session;
    find_weights_bf16(what, rule, weights, row_sums, row_log_sums);
  }
  /// In units of log2.
  double score(int query, int key) const {
    double dot = 0;
    for (int c = 0; c < head_dim; ++c) {
      dot += oracle::rounded_to_bf16(q.data()[query * head_dim + c]) *
             oracle::rounded_to_bf16(k.data()[key * head_dim + c]);
    }
    return dot * double{rule.scale};
  }

  Random random;
  int n_queries, n_keys, head_dim;
  ScoreRule rule;
  std::vector<float> q, k;
  std::vector<double> lse;
  std::uint32_t *q_tiles, *k_tiles;
  float* weights;
  float row_sums[kQueries], row_log_sums[kQueries];

 private:
  std::vector<float> rows(int n) {
    std::vector<float> all;
    for (int i = 0; i < n * head_dim; ++i) all.push_back(3.0F * random.normal());
    return all;
  }
  bool round(const std::vector<float>& from, int n, std::uint32_t* to) const {
    return round_keys(DType::f32, reinterpret_cast<const std::byte*>(from.data()), head_dim * 4, n, head_dim, nullptr,
                      to);
  }
  Buffer memory;
};

constexpr double kLog2e = 1.4426950408889634;

/// `score(query, key)` in natural units, `visible(query, key)`: what was asked.
void check(const Case& c, const auto& score, const auto& visible) {
  for (int i = 0; i < c.n_queries; ++i) {
    double sum = 0, log_sum = 0, size = 0;
    for (int j = 0; j < kBlockKeys; ++j) {
      const double weight = double{c.weights[i * kBlockKeys + j]};
      if (j >= c.n_keys || !visible(i, j)) {
        ASSERT_EQ(weight, 0.0) << i << ", " << j;
        continue;
      }
      // The logarithm is off by some roundings of f32, at up to 200; what comes of it by 1.9e-7.
      const double log = score(i, j) * kLog2e - c.lse[static_cast<std::size_t>(i)], exact = std::exp2(log);
      ASSERT_NEAR(weight, exact, 2e-5 * exact + 0x1p-126) << i << ", " << j;
      if (weight == 0) continue;
      sum += weight, log_sum += weight * log, size += weight * (1 + std::fabs(log));
    }
    ASSERT_NEAR(c.row_sums[i], sum, 1e-6 * sum) << i;
    ASSERT_NEAR(c.row_log_sums[i], log_sum, 3e-5 * size) << i;
  }
}

TEST_F(WeightsBf16, EqualTheirDefinition) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Case c(seed);
    c.find(c.job());
    check(
        c, [&](int i, int j) { return c.score(i, j); }, [](int, int) { return true; });
  }
}

TEST_F(WeightsBf16, MasksBiasesAndCaps) {
  for (std::uint64_t seed = 50; seed < 80; ++seed) {
    Case c(seed);
    std::vector<std::uint32_t> visible;
    for (int i = 0; i < kQueries * kBlockKeys / 32; ++i) visible.push_back(static_cast<std::uint32_t>(c.random.next()));
    std::vector<float> bias;
    const auto sees = [&](int i) {
      return i % kBlockKeys < c.n_keys && (visible.data()[i / 32] >> (i % 32) & 1U) != 0;
    };
    for (int i = 0; i < kQueries * kBlockKeys; ++i) {  // what is hidden may be anything
      const float wild = c.random.one_in(2) ? std::numeric_limits<float>::quiet_NaN() : 1e38F;
      bias.push_back(sees(i) ? c.random.normal() : wild);
    }
    Bf16WeightsJob job = c.job();
    job.visible = visible.data();
    if (seed % 2 == 0) job.bias = bias.data();
    if (seed % 3 == 0) c.rule.softcap = 5.0F;
    c.find(job);
    const auto score = [&](int i, int j) {
      const double plain = c.score(i, j), cap = double{c.rule.softcap};
      return (cap > 0 ? cap * std::tanh(plain / cap) : plain) +
             (job.bias ? double{bias.data()[i * kBlockKeys + j]} : 0.0);
    };
    check(c, score, [&](int i, int j) { return (visible.data()[i * kBlockKeys / 32 + j / 32] >> (j % 32) & 1U) != 0; });
  }
}

/// Scores of 0 leave 2^-lse.
TEST_F(WeightsBf16, PowersAreAsExactAsPromised) {
  Case c(92);
  c.rule.scale = 0.0F, c.n_queries = 1;
  for (float lse = -126.0F; lse < 130.0F; lse += 0.00317F) {
    c.lse[0] = double{lse};
    c.find(c.job());
    const double exact = std::exp2(-double{lse});
    ASSERT_NEAR(c.weights[0], exact, 1.9e-7 * exact + 0x1p-126) << lse;
  }
}

/// From the largest weights there are to those that are nothing.
TEST_F(WeightsBf16, OfAnySize) {
  Case c(90);
  for (double lse = -50; lse < 200; lse += 3.7) {
    std::ranges::fill(c.lse, lse);
    c.find(c.job());
    check(
        c, [&](int i, int j) { return c.score(i, j); }, [](int, int) { return true; });
  }
}

TEST_F(WeightsBf16, WhatSawNothingWeighsNothingAndWhatIsNoNumberStaysNone) {
  Case c(91);
  c.n_queries = 2;
  c.lse = {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()};
  c.find(c.job());
  for (int j = 0; j < c.n_keys; ++j) {
    EXPECT_EQ(c.weights[j], 0.0F);
    EXPECT_TRUE(std::isnan(c.weights[kBlockKeys + j]));
  }
}

TEST_F(WeightsBf16, TheMatrixUnitAndItsEmulationGiveTheSameBits) {
  for (std::uint64_t seed = 100; seed < 120; ++seed) {
    Case best(seed), emulated(seed);
    best.find(best.job());
    force_target("AVX3");
    emulated.find(emulated.job());
    force_target("");
    const int n = best.n_queries * kBlockKeys;
    EXPECT_TRUE(std::equal(best.weights, best.weights + n, emulated.weights)) << seed;
    EXPECT_TRUE(std::equal(best.row_sums, best.row_sums + best.n_queries, emulated.row_sums)) << seed;
    EXPECT_TRUE(std::equal(best.row_log_sums, best.row_log_sums + best.n_queries, emulated.row_log_sums)) << seed;
  }
}

}  // namespace
}  // namespace saccade::kernel
