#include "saccade/judge/massive.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace saccade::judge {
namespace {

TEST(Massive, FindsWhatIsPlanted) {
  std::vector<float> hidden(3 * 64, 0.1F);
  hidden[7] = -2500.0F;
  hidden[64 + 40] = 150.0F;
  hidden[64 + 41] = 99.0F;  // no more than 100
  const auto found = massive_activations(hidden, 3, 5, 12);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].dim, 7);
  EXPECT_EQ(found[0].value, -2500.0F);
  EXPECT_EQ(found[0].layer, 5);
  EXPECT_EQ(found[0].position, 12);
  EXPECT_EQ(found[1].dim, 40);
  EXPECT_EQ(found[1].position, 13);
}

TEST(Massive, IsLargeBesideTheMedianOfAllTokens) {
  std::vector<float> hidden(2 * 65, 2.0F);
  hidden[0] = 1999.0F;  // 1,000 medians are 2,000
  EXPECT_TRUE(massive_activations(hidden, 2, 0, 0).empty());
  hidden[0] = 2001.0F;
  EXPECT_EQ(massive_activations(hidden, 2, 0, 0).size(), 1U);
}

TEST(Massive, NothingIsFoundInNoise) {
  EXPECT_TRUE(massive_activations({}, 0, 0, 0).empty());
  std::vector<float> hidden(8, std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(massive_activations(hidden, 1, 0, 0).empty());
  EXPECT_TRUE(massive_activations(std::vector<float>(8, 500.0F), 2, 0, 0).empty());
  std::vector<float> many(1000 * 4, 0.1F);
  many[999 * 4 + 1] = 300.0F;
  EXPECT_EQ(massive_activations(many, 1000, 0, 0).size(), 1U) << "every token is looked at, sampled or not";
}

}  // namespace
}  // namespace saccade::judge
