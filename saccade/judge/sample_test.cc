#include "saccade/judge/sample.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace saccade::judge {
namespace {

TEST(SamplePositions, ThreeQuartersLieInTheSecondHalf) {
  for (const Pos n_prompt : {2048, 3000, 16'312, 32'696, 65'537}) {
    const auto positions = sample_positions(n_prompt);
    ASSERT_EQ(positions.size(), 1024U) << n_prompt;
    EXPECT_TRUE(std::ranges::is_sorted(positions));
    EXPECT_EQ(std::ranges::adjacent_find(positions), positions.end()) << "each once, " << n_prompt;
    EXPECT_GE(positions.front(), 0);
    EXPECT_LT(positions.back(), n_prompt - 1) << "the last token's successor is not known";
    EXPECT_EQ(std::ranges::count_if(positions, [&](Pos p) { return p >= (n_prompt - 1) / 2; }), 768) << n_prompt;
  }
}

TEST(SamplePositions, AShortPromptGivesEveryPositionThereIs) {
  EXPECT_TRUE(sample_positions(0).empty());
  EXPECT_TRUE(sample_positions(1).empty());
  EXPECT_EQ(sample_positions(2), std::vector<Pos>{0});
  EXPECT_EQ(sample_positions(5), (std::vector<Pos>{0, 1, 2, 3}));
}

TEST(SamplePositions, AnyCountIsDistinctAndInside) {
  for (Pos n_prompt = 2; n_prompt < 200; ++n_prompt) {
    for (const Pos n_samples : {0, 1, 2, 3, 7, 50, 199}) {
      const auto positions = sample_positions(n_prompt, n_samples);
      ASSERT_EQ(static_cast<Pos>(positions.size()), std::min(n_samples, n_prompt - 1));
      ASSERT_TRUE(std::ranges::is_sorted(positions));
      ASSERT_EQ(std::ranges::adjacent_find(positions), positions.end()) << n_prompt << ' ' << n_samples;
      if (!positions.empty()) ASSERT_LT(positions.back(), n_prompt - 1);
    }
  }
}

}  // namespace
}  // namespace saccade::judge
