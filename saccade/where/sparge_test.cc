#include "saccade/where/sparge.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "saccade/where/parts/lists.h"
#include "tests/laws/selector_laws.h"
#include "tests/support/error_line.h"

namespace saccade {
namespace {

using testing::SelectProblem;
using where::Sparge;
using List = std::vector<std::int32_t>;

List list_of(const WherePtr& where, Pos q_block) {
  const auto list = dynamic_cast<const BlockLists&>(*where).list(q_block);
  return {list.begin(), list.end()};
}

TEST(Sparge, ObeysTheLawsOfSelectors) {
  testing::check_selector_laws<Sparge>({{}, {.tau = 0.3, .theta = -1}, {.tau = 0.7, .theta = 0.02, .sink = false}},
                                       {.tau = 1, .theta = 1}, {{.tau = 0.5, .theta = -0.1}});
}

TEST(Sparge, SimilarityWorkedByHand) {
  const float zero[2] = {0, 0};
  const auto similarity = [&](const std::vector<float>& rows, const float* centre) {
    return where::self_similarity(rows.data(), static_cast<Pos>(rows.size() / 2), 2, centre);
  };
  EXPECT_NEAR(similarity({3, 4, 3, 4, 3, 4}, zero), 1.0, 1e-6);
  EXPECT_NEAR(similarity({3, 4, -6, -8}, zero), 0.0, 1e-6);
  EXPECT_NEAR(similarity({2, 0, 0, 5}, zero), 0.5, 1e-6);  // cosines 1, 0, 0, 1
  EXPECT_EQ(similarity({0, 0, 0, 0}, zero), 0.0);
  const float centre[2] = {10, 10};
  EXPECT_NEAR(similarity({12, 10, 10, 15}, centre), 0.5, 1e-6);
  EXPECT_TRUE(std::isnan(similarity({1, NAN}, zero)));
}

/// Block 1 of the queries of 3 blocks of keys before its own two. All rows of a block are equal, but for what `spoil`
/// does.
struct Handmade {
  Handmade() : problem({.q_begin = 256, .q_len = 128, .n_heads = 1}) {
    for (Pos i = 0; i < 128; ++i) problem.q.set(i, 0, axis(0, 1));
    // Scores of the blocks of 64 keys: ln of 8, 4, 2, 1, and 1, 1 for the two of the queries' own.
    const float size[6] = {8, 4, 2, 1, 1, 1};
    for (Pos j = 0; j < 384; ++j) problem.k.set(j, 0, axis(0, std::sqrt(32.0F) * std::log(size[j / 64])));
  }
  static std::vector<float> axis(std::size_t at, float x) {
    std::vector<float> row(32, 0.0F);
    row[at] = x;
    return row;
  }
  List list(const Sparge& sparge) const {
    Alone alone;
    return list_of(choose(*make_choice(sparge), problem.call(alone)).of_head[0], 2);
  }
  SelectProblem problem;
};

TEST(Sparge, WorkedByHand) {
  // Shares 8, 4, 2, 1, 1, 1 of 17: 0.47, 0.71, 0.82, then steps of 0.06.
  const Handmade hand;
  const auto list = [&](double tau) { return hand.list({.tau = tau, .theta = -1, .sink = false}); };
  EXPECT_EQ(list(0.1), (List{0, 4, 5}));  // at least one
  EXPECT_EQ(list(0.5), (List{0, 4, 5}));
  EXPECT_EQ(list(0.75), (List{0, 1, 4, 5}));
  EXPECT_EQ(list(0.85), (List{0, 1, 2, 4, 5}));
  EXPECT_EQ(list(1.0), (List{0, 1, 2, 3, 4, 5}));
}

TEST(Sparge, BlocksThatDoNotResembleThemselvesAreNotJudged) {
  Handmade hand;
  for (Pos j = 192; j < 256; ++j) hand.problem.k.set(j, 0, Handmade::axis(3, j % 2 == 0 ? 50.0F : -50.0F));
  // Block 3 is now of two opposite halves, at right angles to the queries: listed, and without a share.
  EXPECT_EQ(hand.list({.tau = 0.8, .theta = 0.3, .sink = false}), (List{0, 1, 3, 4, 5}));
  EXPECT_EQ(hand.list({.tau = 0.8, .theta = -1, .sink = false}), (List{0, 1, 4, 5}));
  for (Pos i = 0; i < 64; ++i) hand.problem.q.set(i, 0, Handmade::axis(0, -1));
  EXPECT_EQ(hand.list({.tau = 0.8, .theta = 0.3, .sink = false}), (List{0, 1, 2, 3, 4, 5}));
}

TEST(Sparge, AConstantOnAllKeysChangesNothing) {
  const SelectProblem problem({.q_begin = 300, .q_len = 600, .n_heads = 2, .gain = 2.0F});
  SelectProblem moved({.q_begin = 300, .q_len = 600, .n_heads = 2, .gain = 2.0F});
  for (Pos j = 0; j < 900; ++j) {
    std::vector<float> row = problem.k.get(j, 0);
    for (float& x : row) x += 4.0F;
    moved.k.set(j, 0, row);
  }
  Alone alone;
  const ChoicePtr choice = make_choice(Sparge{.tau = 0.6, .theta = 0.02});
  const SelectCall call = problem.call(alone);
  EXPECT_TRUE(testing::detail::same(choose(*choice, moved.call(alone)), choose(*choice, call), call));
}

TEST(Sparge, WhatIsChosenDependsOnTheBatch) {
  // Blocks 0 and 1 of keys point all ways, around a point. What comes later lies far away: less the mean of all keys,
  // the first blocks are alike, and may be left out; less the mean of themselves they are not. Queries 128 to 255 are
  // chosen for in a batch that ends with them, and in one that goes on.
  SelectProblem problem({.q_begin = 128, .q_len = 896, .n_heads = 1});
  for (Pos i = 0; i < 896; ++i) problem.q.set(i, 0, Handmade::axis(0, 1));
  for (Pos j = 128; j < 1024; ++j) problem.k.set(j, 0, Handmade::axis(3, j < 256 ? 0.0F : 300.0F));
  Alone alone;
  const SelectCall call = problem.call(alone);
  const ChoicePtr choice = make_choice(Sparge{.tau = 0.01, .theta = 0.6, .sink = false});
  const auto list = [&](const SelectCall& some) { return list_of(choose(*choice, some).of_head[0], 1); };
  EXPECT_EQ(list(SelectProblem::part(call, {128, 256})), (List{0, 1, 2, 3}));
  EXPECT_LT(list(call).size(), 4U);
  EXPECT_TRUE(choice->traits().depends_on_batch);
}

TEST(Sparge, RejectsParametersThatMakeNoSense) {
  const auto line = [](const Sparge& m) { return testing::error_line([&] { make_choice(m); }); };
  EXPECT_EQ(line({.tau = 0.0}), "where/sparge: tau must be > 0 and <= 1, got 0.000000");
  EXPECT_EQ(line({.theta = 1.5}), "where/sparge: theta must be >= -1 and <= 1, got 1.500000");
}

}  // namespace
}  // namespace saccade
