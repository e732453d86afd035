#include "saccade/where/within.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "saccade/where/choice.h"
#include "saccade/where/dense.h"
#include "saccade/where/flexprefill.h"
#include "saccade/where/parts/ladder.h"
#include "saccade/where/parts/trial.h"
#include "saccade/where/sparge.h"
#include "saccade/where/window.h"
#include "saccade/where/xattention.h"
#include "tests/laws/selector_laws.h"
#include "tests/support/select_case.h"

namespace saccade {
namespace {

using testing::SelectCase;
using testing::SelectProblem;

ChoicePtr with_within(ChoicePtr selector, double error) {
  return unite({std::move(selector), make_choice(where::Within{.error = error})});
}

std::vector<ChoicePtr> selectors() {
  return {make_choice(where::Xattention{.tau = 0.5}), make_choice(where::Sparge{.tau = 0.5}),
          make_choice(where::Flexprefill{.min_budget = 0})};
}

bool is_dense(const Where& where, const SelectCall& call) {
  return testing::detail::same(where, *make_where(where::Dense{}), call);
}

/// Each strength is the selector with that share, and shows what the one before shows.
TEST(Climb, IsTheSelectorAtEveryStrength) {
  Alone alone;
  const SelectProblem problem({.q_begin = 500, .q_len = 700, .n_heads = 4, .n_kv_heads = 2, .head_dim = 64, .gain = 3});
  const SelectCall call = problem.call(alone);
  for (const ChoicePtr& selector : selectors()) {
    std::vector<Selection> rungs;
    selector->climb(call, rungs);
    ASSERT_EQ(rungs.size(), std::size(kLadder));
    EXPECT_GT(rungs[0].cost.flop, 0);
    for (std::size_t rung = 1; rung < rungs.size(); ++rung) {
      EXPECT_EQ(rungs[rung].cost.flop, 0) << "counted once";
      for (std::size_t head = 0; head < 4; ++head) {
        for (const Pos q_pos : testing::detail::rows_to_ask(call.q_begin, call.q_end())) {
          for (Pos k_pos = 0; k_pos <= q_pos; ++k_pos) {
            ASSERT_LE(rungs[rung - 1].of_head[head]->admits(q_pos, k_pos),
                      rungs[rung].of_head[head]->admits(q_pos, k_pos));
          }
        }
      }
    }
  }
  for (std::size_t rung = 0; rung < std::size(kLadder); ++rung) {
    std::vector<Selection> rungs;
    Selection one;
    make_choice(where::Xattention{})->climb(call, rungs);
    make_choice(where::Xattention{.tau = kLadder[rung]})->choose(call, one);
    EXPECT_TRUE(testing::detail::same(rungs[rung], one, call)) << kLadder[rung];
    rungs.clear();
    make_choice(where::Sparge{})->climb(call, rungs);
    make_choice(where::Sparge{.tau = kLadder[rung]})->choose(call, one);
    EXPECT_TRUE(testing::detail::same(rungs[rung], one, call)) << kLadder[rung];
    rungs.clear();
    make_choice(where::Flexprefill{})->climb(call, rungs);
    make_choice(where::Flexprefill{.gamma = kLadder[rung], .min_budget = 128})->choose(call, one);
    EXPECT_TRUE(testing::detail::same(rungs[rung], one, call)) << kLadder[rung];
  }
}

/// Over all rows the layer's result is off by about what was allowed: less than half as much again where every row is
/// asked, and the cheaper the more is allowed.
TEST(Within, KeepsToTheError) {
  const std::unique_ptr<Team> team = make_thread_team(2);
  const SelectProblem problem({.q_begin = 300, .q_len = 900, .n_heads = 6, .n_kv_heads = 2, .head_dim = 32, .gain = 3});
  const SelectCall call = problem.call(*team);
  std::vector<Pos> every(static_cast<std::size_t>(call.q.len));
  for (std::size_t i = 0; i < every.size(); ++i) every[i] = static_cast<Pos>(i);
  for (const ChoicePtr& selector : selectors()) {
    double last_pairs = std::numeric_limits<double>::infinity();
    for (const double error : {0.02, 0.1, 0.3, 0.6}) {
      const auto all_rows = make_choice(where::Within{.error = error, .rows = 900});
      const Selection chosen = choose(*unite({selector, all_rows}), call);
      const std::vector<HeadTrial> trials = try_rungs(call, every, std::vector<Selection>{chosen});
      double off = 0, size = 0, pairs = 0;
      for (const HeadTrial& trial : trials)
        off += trial.rungs[0].error, size += trial.size, pairs += trial.rungs[0].pairs;
      EXPECT_LE(std::sqrt(off / size), error) << "measured on the rows it was chosen on";
      EXPECT_LE(pairs, last_pairs);
      last_pairs = pairs;
      const Selection estimated = choose(*with_within(selector, error), call);
      double estimated_off = 0;
      for (const HeadTrial& trial : try_rungs(call, every, std::vector<Selection>{estimated})) {
        estimated_off += trial.rungs[0].error;
      }
      EXPECT_LE(std::sqrt(estimated_off / size), 1.5 * error) << "measured on 12 of 900 rows";
    }
    constexpr double kDense = 6 * (300 * 900 + 900 * 901 / 2.0);
    EXPECT_LT(last_pairs, 0.9 * kDense) << "something was saved";
  }
}

// Head 0 scores all keys alike and its values are small beside those of head 1, which sees its window alone: with a
// window of 256 and queries from 512 on, what head 0 loses is nothing to the layer, and head 1 loses nothing.
TEST(Within, WorkedByHand) {
  SelectProblem problem({.q_begin = 512, .q_len = 128, .n_heads = 2, .n_kv_heads = 2});
  for (Pos i = 0; i < problem.c.q_len; ++i) {
    problem.q.set(i, 0, std::vector<float>(32, 0.0F));
    problem.q.set(i, 1, std::vector<float>(32, 1.0F));
  }
  for (Pos j = 0; j < problem.c.kv_len(); ++j) {
    problem.v.set(j, 0, std::vector<float>(32, j < 256 ? 0.01F : 0.0F));
    problem.k.set(j, 1, std::vector<float>(32, j < 400 ? -20.0F : 20.0F));
    problem.v.set(j, 1, std::vector<float>(32, 1.0F));
  }
  Alone alone;
  const SelectCall call = problem.call(alone);
  const Selection lenient = choose(*with_within(make_choice(where::Window{256}), 0.05), call);
  EXPECT_FALSE(is_dense(*lenient.of_head[0], call));
  EXPECT_FALSE(is_dense(*lenient.of_head[1], call));
  EXPECT_EQ(lenient.n_dense_by_floor, 0);
  // Head 0 is off by 0.01 x 256 / 577 or so of 1: 0.0045 of the layer's result.
  const Selection strict = choose(*with_within(make_choice(where::Window{256}), 0.003), call);
  EXPECT_TRUE(is_dense(*strict.of_head[0], call));
  EXPECT_FALSE(is_dense(*strict.of_head[1], call));
  EXPECT_EQ(strict.n_dense_by_floor, 1);
}

TEST(Within, NothingMayBeLost) {
  const SelectProblem problem({.q_begin = 100, .q_len = 300, .n_heads = 4, .n_kv_heads = 2});
  Alone alone;
  const SelectCall call = problem.call(alone);
  for (const ChoicePtr& selector : selectors()) {
    const Selection chosen = choose(*with_within(selector, 0), call);
    for (const WherePtr& where : chosen.of_head) EXPECT_TRUE(is_dense(*where, call));
    EXPECT_GE(chosen.cost.flop, 4 * 12 * 400 * 64 * 2);
  }
}

TEST(Within, ShowsEveryQuerySomethingWhateverTheNumbers) {
  const std::unique_ptr<Team> team = make_thread_team(2);
  for (const SelectCase& c : testing::detail::select_cases()) {
    SCOPED_TRACE(::testing::PrintToString(c));
    const SelectProblem problem(c);
    const SelectCall call = problem.call(*team);
    for (const ChoicePtr& selector : selectors()) {
      for (const WherePtr& where : choose(*with_within(selector, 0.5), call).of_head) {
        EXPECT_TRUE(testing::detail::is_causal_and_not_empty(*where, call));
      }
    }
  }
  testing::detail::check_sick_numbers(*with_within(make_choice(where::Sparge{}), 0.1),
                                      {.q_begin = 200, .q_len = 300, .n_heads = 4, .n_kv_heads = 2}, *team);
}

TEST(Within, AHeadWithoutNumbersRunsDenseAndTheOthersDoNot) {
  SelectProblem problem({.q_begin = 600, .q_len = 100, .n_heads = 4, .n_kv_heads = 2});
  problem.v.set(20, 0, std::vector<float>(32, std::numeric_limits<float>::infinity()));
  Alone alone;
  const SelectCall call = problem.call(alone);
  const Selection chosen = choose(*with_within(make_choice(where::Window{500}), 1), call);
  for (std::size_t head = 0; head < 4; ++head) EXPECT_EQ(is_dense(*chosen.of_head[head], call), head < 2) << head;
}

TEST(Within, StandsAsideInDecodeAndAlone) {
  Alone alone;
  const SelectProblem step({.q_begin = 600, .q_len = 1, .n_heads = 2});
  const SelectCall call = step.call(alone);
  const Selection chosen = choose(*with_within(make_choice(where::Window{100}), 0), call);
  EXPECT_FALSE(chosen.of_head[0]->admits(600, 100)) << "a window stays what it is";
  const SelectProblem prompt({.q_begin = 0, .q_len = 200, .n_heads = 2});
  for (const WherePtr& where : choose(*make_choice(where::Within{}), prompt.call(alone)).of_head) {
    EXPECT_TRUE(is_dense(*where, prompt.call(alone)))
        << "beside nothing there is nothing to choose from but everything";
  }
}

TEST(Within, SaysWhatIsWrong) {
  const SelectProblem problem({.q_begin = 0, .q_len = 200, .n_heads = 2});
  Alone alone;
  SelectCall call = problem.call(alone);
  call.v = {};
  EXPECT_THROW(choose(*with_within(make_choice(where::Sparge{}), 0.1), call), Error);
  EXPECT_THROW(intersect({make_choice(where::Window{}), make_choice(where::Within{})}), Error);
  EXPECT_THROW(unite({make_choice(where::Within{}), make_choice(where::Within{})}), Error);
  EXPECT_THROW(make_choice(where::Within{.error = -0.1}), Error);
  EXPECT_THROW(make_choice(where::Within{.error = std::nan("")}), Error);
  EXPECT_THROW(make_choice(where::Within{.rows = 0}), Error);
  EXPECT_TRUE(with_within(make_choice(where::Sparge{}), 0.1)->traits().depends_on_batch);
}

}  // namespace
}  // namespace saccade
