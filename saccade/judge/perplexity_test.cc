#include "saccade/judge/perplexity.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace saccade::judge {
namespace {

TEST(SecondHalf, AllOfItWhenItFits) {
  EXPECT_EQ(second_half(10), (std::vector<Pos>{5, 6, 7, 8}));
  EXPECT_EQ(second_half(2), (std::vector<Pos>{}));
  EXPECT_EQ(second_half(3), (std::vector<Pos>{1}));
  EXPECT_TRUE(second_half(0).empty());
  EXPECT_TRUE(second_half(1).empty());
}

TEST(SecondHalf, EvenlySpreadWhenItDoesNot) {
  for (const Pos n_tokens : {4'100, 30'000, 131'072}) {
    const auto positions = second_half(n_tokens);
    ASSERT_EQ(positions.size(), 2048U) << n_tokens;
    EXPECT_TRUE(std::ranges::is_sorted(positions));
    EXPECT_EQ(std::ranges::adjacent_find(positions), positions.end()) << "each once, " << n_tokens;
    EXPECT_EQ(positions.front(), n_tokens / 2);
    EXPECT_LT(positions.back(), n_tokens - 1) << "the last token's successor is not known";
  }
  EXPECT_TRUE(second_half(100, 0).empty());
}

TEST(PerplexityMeter, WorkedByHand) {
  // Probabilities 1/4 and 1/2 of what came: the geometric mean of 4 and 2.
  PerplexityMeter meter;
  EXPECT_EQ(meter.perplexity(), 1);
  meter.add(std::vector<float>{0, std::log(3.0F)}, 0);
  meter.add(std::vector<float>{1, 1}, 1);
  EXPECT_NEAR(meter.perplexity(), std::sqrt(8.0), 1e-6);
  EXPECT_EQ(meter.count(), 2);
  meter.add(std::vector<float>{NAN, 1}, 1);
  EXPECT_TRUE(std::isnan(meter.perplexity()));
}

}  // namespace
}  // namespace saccade::judge
