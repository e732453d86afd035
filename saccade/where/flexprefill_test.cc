#include "saccade/where/flexprefill.h"

#include <algorithm>
#include <cmath>

#include "saccade/base/error.h"
#include "saccade/where/parts/last_rows.h"
#include "saccade/where/parts/lists.h"
#include "saccade/where/parts/pool.h"
#include "tests/laws/selector_laws.h"
#include "tests/support/error_line.h"

namespace saccade {
namespace {

using testing::SelectCase;
using testing::SelectProblem;
using where::Flexprefill;
using List = std::vector<std::int32_t>;

List list_of(const WherePtr& where, Pos q_block) {
  const auto& lists = dynamic_cast<const BlockLists&>(*where);
  const auto list = lists.list(q_block);
  return {list.begin(), list.end()};
}

TEST(Flexprefill, ObeysTheLawsOfSelectors) {
  testing::check_selector_laws<Flexprefill>({{.min_budget = 128},
                                             {.gamma = 0.95, .tau = 2.0, .min_budget = 0},
                                             {.gamma = 0.5, .tau = 2.0, .min_budget = 200, .inclusive = true},
                                             {.gamma = 0.3, .tau = 0.0, .min_budget = 0, .max_budget = 256}},
                                            {.gamma = 1.0, .min_budget = 0},
                                            {{.min_budget = 256},
                                             {.gamma = 0.5, .tau = 2.0, .min_budget = 256, .inclusive = true},
                                             {.gamma = 0.3, .tau = 0.0, .min_budget = 256, .max_budget = 256}});
}

TEST(Flexprefill, DistanceWorkedByHand) {
  const auto sqrt_js = [](std::vector<float> p, std::vector<float> q) { return where::sqrt_js(p, q); };
  EXPECT_NEAR(sqrt_js({1, 0}, {0, 1}), 0.832555, 1e-6);
  EXPECT_NEAR(sqrt_js({0.7F, 0.3F}, {0.5F, 0.5F}), 0.144934, 1e-6);
  EXPECT_EQ(sqrt_js({0.25F, 0, 0.75F}, {0.25F, 0, 0.75F}), 0.0);
  EXPECT_TRUE(std::isnan(sqrt_js({std::nanf(""), 0}, {1, 0})));
}

/// 6 blocks of keys, of which the last 3 are asked for. All queries and the keys of block 1 lie along one axis.
TEST(Flexprefill, WorkedByHand) {
  SelectProblem problem({.q_begin = 384, .q_len = 384, .n_heads = 1});
  const auto axis = [](float size) {
    std::vector<float> row(32, 0.0F);
    row[0] = size;
    return row;
  };
  for (Pos i = 0; i < 384; ++i) problem.q.set(i, 0, axis(10.0F));
  for (Pos j = 0; j < 768; ++j) problem.k.set(j, 0, axis(j / 128 == 1 ? 10.0F : 0.0F));
  Alone alone;
  // All weight lies on the 128 keys of block 1 alike: 115 of them cover 0.9, one more crosses: one block of columns,
  // and the forced first one takes that place. Rows 640 + r see keys 128 + c at distances 512 + r - c, most often 512:
  // 175 of the 255 cover 0.9, floor(175 / 128) + 1 = 2 blocks: the main diagonal, and block 4 (r >= c), which has 128
  // pairs more than block 3.
  const ChoicePtr choice = make_choice(Flexprefill{.tau = 0.0, .min_budget = 0});
  const Selection chosen = choose(*choice, problem.call(alone));
  EXPECT_EQ(list_of(chosen.of_head[0], 5), (List{0, 1, 5}));
  EXPECT_EQ(list_of(chosen.of_head[0], 4), (List{0, 4}));
  EXPECT_EQ(list_of(chosen.of_head[0], 3), (List{0, 3}));
  EXPECT_EQ(chosen.cost.flop, 2 * 128 * 768 * 32);
  // With a budget of two blocks the column is there, for every query that may see it.
  const Selection wider = choose(*make_choice(Flexprefill{.tau = 0.0, .min_budget = 256}), problem.call(alone));
  for (const Pos u : {3, 4, 5}) EXPECT_TRUE(wider.of_head[0]->admits(u * 128, 130)) << u;
}

TEST(Flexprefill, QueryAwareHeadsCoverGammaOfThePooledMap) {
  const SelectProblem problem({.q_begin = 1000, .q_len = 900, .n_heads = 2, .head_dim = 64, .gain = 3.0F});
  Alone alone;
  const SelectCall call = problem.call(alone);
  for (const double gamma : {0.3, 0.7, 0.95}) {
    // tau 2 is beyond any distance: all heads are query-aware.
    const Selection chosen =
        choose(*make_choice(Flexprefill{.gamma = gamma, .tau = 2.0, .min_budget = 0, .inclusive = true}), call);
    for (const int head : {0, 1}) {
      const Rows q = mean_of_blocks(call.q, head, 128, {1000, 1900}, 1000),
                 k = mean_of_blocks(call.k, 0, 128, {0, 1900});
      double covered = 0.0;
      for (Pos i = 0; i < q.n; ++i) {
        const Pos u = 1000 / 128 + i;
        std::vector<double> row;
        double sum = 0.0;
        for (Pos t = 0; t <= u; ++t) {
          double dot = 0.0;
          for (Pos c = 0; c < 64; ++c) dot += double{q.row(i)[c]} * double{k.row(t)[c]};
          sum += row.emplace_back(std::exp(call.scale * dot));
        }
        for (const std::int32_t t : list_of(chosen.of_head[static_cast<std::size_t>(head)], u)) {
          covered += row[static_cast<std::size_t>(t)] / sum;
        }
      }
      EXPECT_GE(covered, gamma * static_cast<double>(q.n) - 1e-5);
    }
  }
}

TEST(Flexprefill, FirstColumnAndMainDiagonalAreAlwaysThere) {
  const SelectProblem problem({.q_begin = 700, .q_len = 500, .n_heads = 2});
  Alone alone;
  const Selection chosen = choose(*make_choice(Flexprefill{.gamma = 0.1, .min_budget = 0}), problem.call(alone));
  for (const WherePtr& where : chosen.of_head) {
    for (Pos u = 5; u < 10; ++u) {
      const List list = list_of(where, u);
      EXPECT_EQ(list.front(), 0);
      EXPECT_EQ(list.back(), u);
    }
  }
}

TEST(Flexprefill, ColumnsThatTheLastRowsSeeAreFoundInTheMiddle) {
  SelectProblem problem({.q_begin = 0, .q_len = 2000, .n_heads = 2, .head_dim = 64});
  problem.plant_needle(900, 60.0F);
  Alone alone;
  const Selection chosen =
      choose(*make_choice(Flexprefill{.gamma = 0.5, .tau = 0.0, .min_budget = 256}), problem.call(alone));
  for (const Pos q_pos : {900, 1000, 1999}) EXPECT_TRUE(chosen.of_head[1]->admits(q_pos, 900)) << q_pos;
}

TEST(Flexprefill, WhatIsChosenDependsOnTheBatch) {
  // The first half looks at block 2, the second at block 1. One batch: its last rows know nothing of block 2. Two
  // batches: each has its own.
  SelectProblem problem({.q_begin = 512, .q_len = 512, .n_heads = 1});
  const auto axis = [](std::size_t at) {
    std::vector<float> row(32, 0.0F);
    row[at] = 10.0F;
    return row;
  };
  for (Pos i = 0; i < 512; ++i) problem.q.set(i, 0, axis(i < 256 ? 2 : 1));
  for (Pos j = 0; j < 1024; ++j) problem.k.set(j, 0, axis(j / 128 == 1 ? 1 : j / 128 == 2 ? 2 : 9));
  Alone alone;
  const SelectCall call = problem.call(alone);
  const ChoicePtr choice = make_choice(Flexprefill{.tau = 0.0, .min_budget = 256});
  const Selection one = choose(*choice, call);
  const Selection first = choose(*choice, SelectProblem::part(call, {512, 768}));
  EXPECT_FALSE(one.of_head[0]->admits(600, 300));
  EXPECT_TRUE(first.of_head[0]->admits(600, 300));
  EXPECT_TRUE(choice->traits().depends_on_batch);
}

TEST(Flexprefill, ShortTextsAndSingleQueriesAreDense) {
  const SelectProblem problem({.q_begin = 900, .q_len = 124, .n_heads = 2});
  Alone alone;
  SelectCall call = problem.call(alone);
  EXPECT_EQ(choose(*make_choice(Flexprefill{}), call).n_dense_by_rule, 0);
  call.fallbacks = true;
  EXPECT_EQ(choose(*make_choice(Flexprefill{}), call).n_dense_by_rule, 2);  // 1,024 tokens: the smallest budget
  EXPECT_EQ(choose(*make_choice(Flexprefill{.gamma = 0.2, .min_budget = 128}), call).n_dense_by_rule, 0);
}

TEST(Flexprefill, RejectsParametersThatMakeNoSense) {
  const auto line = [](const Flexprefill& m) { return testing::error_line([&] { make_choice(m); }); };
  EXPECT_EQ(line({.gamma = 1.5}), "where/flexprefill: gamma must be > 0 and <= 1, got 1.500000");
  EXPECT_EQ(line({.gamma = 0.0}), "where/flexprefill: gamma must be > 0 and <= 1, got 0.000000");
  EXPECT_EQ(line({.tau = -1.0}), "where/flexprefill: tau must be >= 0, got -1.000000");
  EXPECT_EQ(line({.min_budget = -1}), "where/flexprefill: min_budget must be >= 0, got -1");
  EXPECT_EQ(line({.max_budget = -5}), "where/flexprefill: max_budget must be >= 0, got -5");
  EXPECT_EQ(line({.max_budget = 5}), "where/flexprefill: max_budget must be 0 or >= min_budget, got 5 below 1024");
}

}  // namespace
}  // namespace saccade
