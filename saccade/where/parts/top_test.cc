#include "saccade/where/parts/top.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tests/support/random.h"

namespace saccade {
namespace {

using List = std::vector<std::int32_t>;
using Shares = std::vector<double>;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

/// Indices from the largest score on, as the definitions have them.
List sorted(const std::vector<float>& scores) {
  List order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](int a, int b) {
    const float x = scores[static_cast<std::size_t>(a)], y = scores[static_cast<std::size_t>(b)];
    return std::isnan(y) ? !std::isnan(x) : x > y;
  });
  return order;
}

/// Few values, so that there are ties; zeros, and some that are huge.
std::vector<float> weights_with_ties(Pos n, Random& random) {
  std::vector<float> weights(static_cast<std::size_t>(n));
  for (float& w : weights) {
    w = random.one_in(7) ? std::exp(6.0F * random.normal()) : static_cast<float>(random.between(0, 3));
  }
  return weights;
}

TEST(Top, WorkedByHand) {
  const std::vector<float> w{0.3F, 0.05F, 0.5F, 0.15F};
  EXPECT_EQ(top_k(w, 2), (List{0, 2}));
  EXPECT_EQ(top_k(w, 2, List{1}), (List{1, 2}));
  EXPECT_EQ(top_k(w, 1, List{1, 3}), (List{1, 3}));  // forced ones stay
  EXPECT_EQ(top_k(w, 9), (List{0, 1, 2, 3}));
  EXPECT_EQ(top_p(w, 0.9, Crossing::kExclude), (List{0, 2}));
  EXPECT_EQ(top_p(w, 0.9, Crossing::kInclude), (List{0, 2, 3}));
  EXPECT_EQ(top_p(w, 0.9, Crossing::kInclude, List{1, 3}), (List{0, 1, 2, 3}));
  EXPECT_EQ(top_p(w, 1.0, Crossing::kExclude), (List{0, 1, 2, 3}));
  EXPECT_EQ(at_least(w, 0.15F, List{1}), (List{0, 1, 2, 3}));
  EXPECT_EQ(counts_to_cover(w, Shares{0.0, 0.85, 0.9, 1.0}), (std::vector<Pos>{1, 3, 3, 4}));
}

TEST(Top, OfEqualScoresTheLowerIndexIsKept) {
  const std::vector<float> w{1, 2, 2, 1, 2, 0.0F, -0.0F};
  EXPECT_EQ(top_k(w, 2), (List{1, 2}));
  EXPECT_EQ(top_k(w, 4), (List{0, 1, 2, 4}));
  EXPECT_EQ(top_k(w, 6), (List{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(top_p(w, 0.5, Crossing::kExclude), (List{1, 2}));
}

TEST(Top, WhatIsNoNumberComesLast) {
  const std::vector<float> w{kNaN, 1, -kInf, kInf, kNaN};
  EXPECT_EQ(top_k(w, 1), (List{3}));
  EXPECT_EQ(top_k(w, 3), (List{1, 2, 3}));
  EXPECT_EQ(top_k(w, 4), (List{0, 1, 2, 3}));
  EXPECT_EQ(top_p(std::vector<float>{kNaN, 1, kNaN}, 0.5, Crossing::kInclude), (List{1}));
  EXPECT_EQ(top_p(std::vector<float>{kNaN, kNaN}, 0.5, Crossing::kInclude, List{1}), (List{1}));
  EXPECT_EQ(at_least(w, 0.0F), (List{1, 3}));
  EXPECT_EQ(counts_to_cover(std::vector<float>{kNaN, 1, kNaN}, Shares{0.5}), std::vector<Pos>{1});
}

TEST(Top, NothingToChooseFrom) {
  EXPECT_TRUE(top_k({}, 3).empty());
  EXPECT_TRUE(top_p({}, 0.5, Crossing::kInclude).empty());
  EXPECT_EQ(counts_to_cover({}, Shares{0.5}), std::vector<Pos>{0});
  const std::vector<float> zeros(5, 0.0F);
  EXPECT_TRUE(top_p(zeros, 0.5, Crossing::kInclude).empty());
  EXPECT_EQ(top_k(zeros, 2, List{4, -3, 99}), (List{0, 4}));
}

TEST(Top, AgreesWithSortingEverything) {
  Random random(11);
  for (int round = 0; round < 300; ++round) {
    const std::vector<float> w = weights_with_ties(random.between(1, 500), random);
    const List order = sorted(w);
    const auto n = static_cast<Pos>(w.size());
    const Pos k = random.between(0, n);
    List expected(order.begin(), order.begin() + k);
    std::ranges::sort(expected);
    ASSERT_EQ(top_k(w, k), expected) << round;

    const double p = random.uniform(), sum = std::accumulate(w.begin(), w.end(), 0.0);
    double taken = 0.0;
    Pos below = 0;
    while (below < n && taken + w[static_cast<std::size_t>(order[static_cast<std::size_t>(below)])] <= p * sum) {
      taken += w[static_cast<std::size_t>(order[static_cast<std::size_t>(below++)])];
    }
    const std::vector<Pos> counts = counts_to_cover(w, Shares{p / 2, p, p, (1 + p) / 2});
    ASSERT_EQ(counts[1], std::min(below + 1, n)) << round;
    ASSERT_EQ(counts[2], counts[1]) << round;
    ASSERT_EQ(counts[0], counts_to_cover(w, Shares{p / 2})[0]) << round;
    ASSERT_EQ(counts[3], counts_to_cover(w, Shares{(1 + p) / 2})[0]) << round;
    expected.assign(order.begin(), order.begin() + below);
    std::ranges::sort(expected);
    ASSERT_EQ(top_p(w, p, Crossing::kExclude), expected) << round;
    expected.assign(order.begin(), order.begin() + std::min(n, taken < p * sum ? below + 1 : below));
    std::ranges::sort(expected);
    ASSERT_EQ(top_p(w, p, Crossing::kInclude), expected) << round;
  }
}

TEST(Top, SeveralSharesAtOnceAreEachAlone) {
  Random random(5);
  for (int round = 0; round < 100; ++round) {
    std::vector<float> weights(static_cast<std::size_t>(random.between(0, 60)));
    for (float& weight : weights) weight = random.one_in(9) ? NAN : static_cast<float>(random.between(0, 9));
    const std::vector<std::int32_t> forced = {static_cast<std::int32_t>(random.between(-2, 70)), 3};
    const double shares[] = {0.0, 0.3, 0.3, 0.8, 0.99, 1.0};
    for (const Crossing crossing : {Crossing::kInclude, Crossing::kExclude}) {
      const auto levels = top_p_levels(weights, shares, crossing, forced);
      for (std::size_t i = 0; i < std::size(shares); ++i) {
        EXPECT_EQ(up_to(levels, i), top_p(weights, shares[i], crossing, forced)) << shares[i];
      }
      EXPECT_EQ(up_to(levels, std::size(shares) - 1).size(), weights.size());
    }
  }
}

}  // namespace
}  // namespace saccade
