#include "saccade/where/floor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <vector>

#include "saccade/where/choice.h"
#include "saccade/where/dense.h"
#include "saccade/where/sink.h"
#include "saccade/where/window.h"
#include "tests/support/select_case.h"

namespace saccade {
namespace {

using testing::SelectCase;
using testing::SelectProblem;

/// The share of the softmax weight of the sampled queries that lies on what `where` shows them: the definition.
double mean_mass(const SelectProblem& problem, const SelectCall& call, int head, const Where& where, Pos n_rows) {
  const Pos n = std::min(n_rows, call.q.len);
  double sum = 0;
  for (Pos r = 1; r <= n; ++r) {
    const Pos i = r * call.q.len / n - 1, q_pos = call.q_begin + i;
    std::vector<double> scores;
    for (Pos k_pos = 0; k_pos <= q_pos; ++k_pos) {
      const std::vector<float> a = problem.q.get(i, head);
      const std::vector<float> b = problem.k.get(k_pos, problem.kv_head[static_cast<std::size_t>(head)]);
      double score = 0;
      for (std::size_t c = 0; c < a.size(); ++c) score += static_cast<double>(a[c]) * static_cast<double>(b[c]);
      score *= static_cast<double>(call.scale);
      if (call.softcap > 0) score = call.softcap * std::tanh(score / call.softcap);
      scores.push_back(score);
    }
    const double most = *std::ranges::max_element(scores);
    double all = 0, some = 0;
    for (Pos k_pos = 0; k_pos <= q_pos; ++k_pos) {
      const double weight = std::exp(scores[static_cast<std::size_t>(k_pos)] - most);
      all += weight;
      if (where.admits(q_pos, k_pos)) some += weight;
    }
    sum += some / all;
  }
  return sum / static_cast<double>(n);
}

ChoicePtr window_with_floor(Pos n, where::Floor floor) {
  return unite({make_choice(where::Window{n}), make_choice(floor)});
}

TEST(Floor, RunsThoseHeadsDenseWhoseMassIsBelowIt) {
  const std::unique_ptr<Team> team = make_thread_team(3);
  Alone alone;
  const auto window = make_where(where::Window{150});
  for (const auto& [c, softcap, rows] :
       {std::tuple{SelectCase{.q_begin = 300, .q_len = 100, .n_heads = 4}, 0.0F, Pos{8}},
        {SelectCase{.q_begin = 0, .q_len = 777, .n_heads = 6, .n_kv_heads = 2}, 0.0F, 5},
        {SelectCase{.q_begin = 513, .q_len = 1, .n_heads = 3, .gain = 4}, 0.0F, 8},
        {SelectCase{.q_begin = 1000,
        .q_len = 40,
        .n_heads = 4,
        .head_dim = 64,
        .q_type = DType::bf16,
        .k_type = DType::q8_0,
        .gain = 3},
         2.0F, 100}}) {
    SCOPED_TRACE(::testing::PrintToString(c));
    const SelectProblem problem(c);
    std::vector<double> masses;
    for (const Team* any : {static_cast<const Team*>(team.get()), static_cast<const Team*>(&alone)}) {
      SelectCall call = problem.call(const_cast<Team&>(*any));
      call.softcap = softcap;
      masses.clear();
      for (const int head : problem.heads) masses.push_back(mean_mass(problem, call, head, *window, rows));
      std::vector<double> sorted = masses;
      std::ranges::sort(sorted);
      for (std::size_t below = 1; below < sorted.size(); ++below) {
        const double floor = (sorted[below - 1] + sorted[below]) / 2;
        const Selection chosen = choose(*window_with_floor(150, {.mass = floor, .rows = rows}), call);
        EXPECT_EQ(chosen.n_dense_by_floor, static_cast<std::int64_t>(below));
        for (std::size_t head = 0; head < masses.size(); ++head) {
          EXPECT_EQ(chosen.of_head[head]->admits(call.q_end() - 1, 0), masses[head] < floor) << head << ' ' << floor;
        }
      }
    }
  }
}

TEST(Floor, WorkedByHand) {
  // All scores are 0, so that a window of 4 holds 4 / (q_pos + 1) of the weight. Of 6 queries from 10 on, two are
  // looked at: the third, with 4 / 13, and the last, with 4 / 16. Their mean is 0.2788.
  SelectProblem problem({.q_begin = 10, .q_len = 6, .n_heads = 1});
  for (Pos i = 0; i < 6; ++i) problem.q.set(i, 0, std::vector<float>(32, 0.0F));
  Alone alone;
  const SelectCall call = problem.call(alone);
  EXPECT_EQ(choose(*window_with_floor(4, {.mass = 0.27, .rows = 2}), call).n_dense_by_floor, 0);
  EXPECT_EQ(choose(*window_with_floor(4, {.mass = 0.28, .rows = 2}), call).n_dense_by_floor, 1);
  EXPECT_EQ(choose(*window_with_floor(4, {.mass = 0.27, .rows = 1}), call).n_dense_by_floor, 1);
}

TEST(Floor, MeasuresOnlyWhatIsNotDense) {
  const SelectProblem problem({.q_begin = 100, .q_len = 30, .n_heads = 4, .n_kv_heads = 2});
  Alone alone;
  const SelectCall call = problem.call(alone);
  const Selection dense = choose(*unite({make_choice(where::Dense{}), make_choice(where::Floor{.mass = 1})}), call);
  EXPECT_EQ(dense.n_dense_by_floor, 0);
  EXPECT_EQ(dense.cost.flop, 0);
  const Selection narrow = choose(*window_with_floor(10, {.mass = 1, .rows = 3}), call);
  EXPECT_EQ(narrow.n_dense_by_floor, 4);
  EXPECT_EQ(narrow.cost.flop, 4 * 3 * 130 * 2 * 32);
  EXPECT_EQ(choose(*make_choice(where::Floor{}), call).n_dense_by_floor, 4) << "alone, below it there is nothing";
}

TEST(Floor, WhatIsNoNumberRunsDense) {
  SelectProblem problem({.q_begin = 600, .q_len = 10, .n_heads = 2});
  problem.k.set(20, 0, std::vector<float>(32, std::numeric_limits<float>::quiet_NaN()));
  Alone alone;
  EXPECT_EQ(choose(*window_with_floor(500, {.mass = 0.01}), problem.call(alone)).n_dense_by_floor, 2);
}

TEST(Floor, IsJoinedByPlusAndPromisesNothingOfItsOwn) {
  const ChoicePtr joined = unite({make_choice(where::Window{}), make_choice(where::Floor{})});
  EXPECT_TRUE(joined->traits().prefill && joined->traits().decode);
  EXPECT_TRUE(joined->traits().depends_on_batch);
  EXPECT_THROW(intersect({make_choice(where::Window{}), make_choice(where::Floor{})}), Error);
  EXPECT_THROW(make_choice(where::Floor{.mass = 0}), Error);
  EXPECT_THROW(make_choice(where::Floor{.mass = 1.1}), Error);
  EXPECT_THROW(make_choice(where::Floor{.rows = 0}), Error);
}

}  // namespace
}  // namespace saccade
