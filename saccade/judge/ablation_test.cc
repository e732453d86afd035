#include "saccade/judge/ablation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "saccade/base/error.h"
#include "tests/support/random.h"

namespace saccade::judge {
namespace {

using ::testing::ElementsAre;

HeadScores example() {
  HeadScores scores(3, 2);
  scores.values = {0.0, 0.5, 0.05, 0.9, 0.5, 0.2};
  return scores;
}

TEST(Ablation, TopHeadsGoByScoreAndTheEarlierFirst) {
  EXPECT_THAT(top_heads(example(), 3), ElementsAre(HeadPlace{1, 1}, HeadPlace{0, 1}, HeadPlace{2, 0}));
  EXPECT_EQ(top_heads(example(), 99).size(), 6U);
  EXPECT_TRUE(top_heads(example(), 0).empty());
}

TEST(Ablation, RandomHeadsAreOfThoseThatScoreLittleAndTheSameEveryTime) {
  EXPECT_THAT(random_heads(example(), 5, 0.1), ElementsAre(HeadPlace{0, 0}, HeadPlace{1, 0}));
  HeadScores many(20, 10);
  for (int layer = 0; layer < 20; ++layer) many.at(layer, 3) = 0.4;
  const auto drawn = random_heads(many, 10, kRetrievalHead, 5);
  EXPECT_EQ(drawn.size(), 10U);
  EXPECT_EQ(drawn, random_heads(many, 10, kRetrievalHead, 5));
  EXPECT_NE(drawn, random_heads(many, 10, kRetrievalHead, 6));
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    EXPECT_NE(drawn[i].head, 3);
    for (std::size_t j = 0; j < i; ++j) EXPECT_FALSE(drawn[i] == drawn[j]);
  }
}

TEST(Ablation, EditsTheHeadsAndNothingElse) {
  const Plan plan = Plan::from_json(R"json({"rows": [{"layers": "1", "attn": "window(9)"}]})json");
  const std::vector<HeadPlace> heads{{1, 1}, {0, 3}};
  const Plan masked = ablated(plan, heads, parse_spec("uniform"));
  for (int layer = 0; layer < 3; ++layer) {
    for (int head = 0; head < 4; ++head) {
      EXPECT_EQ(masked.edit(layer, head).uniform, (layer == 1 && head == 1) || (layer == 0 && head == 3));
      EXPECT_EQ(masked.choice(layer, head).pattern()->admits(100, 3),
                plan.choice(layer, head).pattern()->admits(100, 3));
    }
  }
  EXPECT_EQ(ablated(plan, {}, parse_spec("uniform")), plan);
  EXPECT_THROW(ablated(plan, heads, parse_spec("window(3)")), Error);
}

TEST(SpanGaze, WorkedByHand) {
  const std::vector<float> row{0.3F, 0.05F, 0.25F, 0.2F, 0.1F, 0.1F};
  const SpanGaze gaze = gaze_at(row, {2, 4});
  EXPECT_NEAR(gaze.held, 0.45, 1e-6);
  EXPECT_NEAR(gaze.best_other, 0.35, 1e-6);
  EXPECT_TRUE(gaze.is_most_looked_at());
  EXPECT_FALSE(gaze_at(row, {4, 6}).is_most_looked_at());
  EXPECT_EQ(gaze_at(row, {0, 6}).best_other, 0.0) << "there is no other";
}

TEST(SpanGaze, IsWhatEverySpanHolds) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Random random(seed);
    std::vector<float> row(static_cast<std::size_t>(random.between(1, 40)));
    for (float& weight : row) weight = std::exp(random.normal());
    const Pos size = static_cast<Pos>(row.size()), begin = random.between(0, size - 1);
    const Range span{begin, random.between(begin + 1, size)};
    const auto held = [&](Range keys) {
      double sum = 0;
      for (Pos key = keys.begin; key < keys.end; ++key) sum += static_cast<double>(row[static_cast<std::size_t>(key)]);
      return sum;
    };
    double best = 0;
    // A span at the row's edge may be shorter.
    for (Pos end = 1; end <= size; ++end) {
      for (Pos from = std::max<Pos>(0, end - span.size()); from < end; ++from) {
        const Range other{from, end};
        if (other.end <= span.begin || other.begin >= span.end) best = std::max(best, held(other));
      }
    }
    EXPECT_NEAR(gaze_at(row, span).held, held(span), 1e-9 * held({0, size})) << seed;
    EXPECT_NEAR(gaze_at(row, span).best_other, best, 1e-9 * held({0, size})) << seed;
  }
}

TEST(Influence, IsTheLossThatTheHeadsSaved) {
  EXPECT_EQ(influence(2.0, 2.0), 0.0);
  EXPECT_DOUBLE_EQ(influence(2.0, 3.0), 0.5);
  EXPECT_DOUBLE_EQ(influence(2.0, 1.0), -0.5);
  EXPECT_TRUE(std::isnan(influence(0.0, 1.0)));
}

}  // namespace
}  // namespace saccade::judge
