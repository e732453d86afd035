#include "saccade/where/parts/allot.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "saccade/base/random.h"

namespace saccade {
namespace {

using Offers = std::vector<std::vector<Offer>>;

Offer sum_of(const Offers& offers, const std::vector<std::size_t>& chosen) {
  Offer sum;
  for (std::size_t head = 0; head < offers.size(); ++head) {
    sum.cost += offers[head][chosen[head]].cost;
    sum.error += offers[head][chosen[head]].error;
  }
  return sum;
}

/// The least error within the budget, all combinations tried; infinite when none fits.
double least_error(const Offers& offers, double budget) {
  double least = std::numeric_limits<double>::infinity();
  std::vector<std::size_t> at(offers.size(), 0);
  for (;;) {
    const Offer sum = sum_of(offers, at);
    if (sum.cost <= budget) least = std::min(least, sum.error);
    std::size_t head = 0;
    while (head < at.size() && ++at[head] == offers[head].size()) at[head++] = 0;
    if (head == at.size()) return least;
  }
}

Offers random_offers(Random& random) {
  Offers offers(4);
  for (auto& head : offers) {
    const auto n = random.between(1, 5);
    for (Pos i = 0; i < n; ++i)
      head.push_back({static_cast<double>(random.between(1, 20)), static_cast<double>(random.between(0, 50))});
  }
  return offers;
}

TEST(Allot, WorkedByHand) {
  // Head 0 saves 6 for 2 and then 1 for 2; head 1 saves 4 for 1, and 2.5 a unit over (2, 5), which lies above its hull.
  const Offers offers = {{{1, 10}, {3, 4}, {5, 3}}, {{2, 5}, {1, 6}, {2, 2}, {6, 0}}};
  EXPECT_EQ(allot(offers, 2), (std::vector<std::size_t>{0, 1}));
  EXPECT_EQ(allot(offers, 3), (std::vector<std::size_t>{0, 2}));
  EXPECT_EQ(allot(offers, 5), (std::vector<std::size_t>{1, 2}));
  EXPECT_EQ(allot(offers, 7), (std::vector<std::size_t>{2, 2})) << "1 for 2 beats and 2 for 4 equals it: the earlier";
  EXPECT_EQ(allot(offers, 11), (std::vector<std::size_t>{2, 3}));
  EXPECT_TRUE(allot(offers, 1.9).empty());
}

/// Within one step of the best there is, never over the budget, and never worse with more of it... at the hull's ends.
TEST(Allot, IsAtMostOneStepFromTheBest) {
  Random random(7);
  for (int round = 0; round < 200; ++round) {
    const Offers offers = random_offers(random);
    double largest = 0;  // error that one step can save
    for (const auto& head : offers) {
      const auto [least, most] = std::ranges::minmax(head, {}, &Offer::error);
      largest = std::max(largest, most.error - least.error);
    }
    for (double budget = 4; budget <= 80; budget += 7) {
      const auto chosen = allot(offers, budget);
      const double best = least_error(offers, budget);
      ASSERT_EQ(chosen.empty(), best == std::numeric_limits<double>::infinity());
      if (chosen.empty()) continue;
      const Offer sum = sum_of(offers, chosen);
      ASSERT_LE(sum.cost, budget);
      ASSERT_GE(sum.error, best);
      ASSERT_LE(sum.error, best + largest);
      ASSERT_EQ(chosen, allot(offers, budget));
    }
  }
}

TEST(Allot, AllThatMoneyCanBuy) {
  const Offers offers = {{{1, 3}, {9, 0}}, {{2, 2}, {1, 2}, {5, 1}}};
  EXPECT_EQ(allot(offers, 1000), (std::vector<std::size_t>{1, 2}));
}

TEST(AllotWithin, WorkedByHand) {
  const Offers offers = {{{1, 10}, {3, 4}, {5, 3}}, {{2, 5}, {1, 6}, {2, 2}, {6, 0}}};  // as above: steps of 4, 3, 1/2
  EXPECT_EQ(allot_within(offers, 20), (std::vector<std::size_t>{0, 1}));
  EXPECT_EQ(allot_within(offers, 15), (std::vector<std::size_t>{0, 2}));
  EXPECT_EQ(allot_within(offers, 7), (std::vector<std::size_t>{1, 2}));
  EXPECT_EQ(allot_within(offers, 5.5), (std::vector<std::size_t>{2, 2}));
  EXPECT_EQ(allot_within(offers, 3), (std::vector<std::size_t>{2, 3}));
  EXPECT_EQ(allot_within(offers, 0), (std::vector<std::size_t>{2, 3})) << "3 is the least there is";
}

TEST(AllotWithin, IsTheCheapestThatAllotWouldFind) {
  Random random(11);
  for (int round = 0; round < 200; ++round) {
    const Offers offers = random_offers(random);
    for (double error = 0; error <= 200; error += 9) {
      const auto chosen = allot_within(offers, error);
      const Offer sum = sum_of(offers, chosen);
      if (sum.error > error) {
        for (std::size_t head = 0; head < offers.size(); ++head) {
          ASSERT_EQ(offers[head][chosen[head]].error, std::ranges::min(offers[head], {}, &Offer::error).error);
        }
        continue;
      }
      for (double budget = 4; budget < sum.cost; ++budget) {  // with less money no hull leads there
        const auto poorer = allot(offers, budget);
        if (!poorer.empty() && sum_of(offers, poorer).error <= error) {
          double largest = 0;
          for (const auto& head : offers) largest = std::max(largest, std::ranges::max(head, {}, &Offer::cost).cost);
          ASSERT_LE(sum.cost, budget + largest);
        }
      }
    }
  }
}

}  // namespace
}  // namespace saccade
