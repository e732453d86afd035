#include "saccade/where/parts/trial.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "saccade/where/dense.h"
#include "saccade/where/sink.h"
#include "saccade/where/window.h"
#include "tests/support/select_case.h"

namespace saccade {
namespace {

using testing::SelectCase;
using testing::SelectProblem;

/// Softmax attention of one row over the keys that `where` shows, in fp64: the definition. `rounded_up`: a block of 64
/// keys that is shown in part is shown.
std::vector<double> attend_row(const SelectProblem& problem, const SelectCall& call, Pos row, int head,
                               const Where& where, bool rounded_up) {
  const int kv_head = problem.kv_head[static_cast<std::size_t>(head)];
  const Pos q_pos = call.q_begin + row;
  const auto shows = [&](Pos k_pos) {
    if (!rounded_up) return where.admits(q_pos, k_pos);
    for (Pos j = k_pos / 64 * 64; j < std::min(q_pos + 1, (k_pos / 64 + 1) * 64); ++j) {
      if (where.admits(q_pos, j)) return true;
    }
    return false;
  };
  const std::vector<float> q = problem.q.get(row, head);
  std::vector<std::pair<double, Pos>> scores;
  double most = -std::numeric_limits<double>::infinity();
  for (Pos k_pos = 0; k_pos <= q_pos; ++k_pos) {
    if (!shows(k_pos)) continue;
    const std::vector<float> k = problem.k.get(k_pos, kv_head);
    double score = 0;
    for (std::size_t c = 0; c < q.size(); ++c) score += static_cast<double>(q[c]) * static_cast<double>(k[c]);
    score *= static_cast<double>(call.scale);
    if (call.softcap > 0) score = call.softcap * std::tanh(score / call.softcap);
    scores.emplace_back(score, k_pos);
    most = std::max(most, score);
  }
  std::vector<double> o(q.size(), 0.0);
  double sum = 0;
  for (const auto& [score, k_pos] : scores) {
    const double weight = std::exp(score - most);
    const std::vector<float> v = problem.v.get(k_pos, kv_head);
    for (std::size_t c = 0; c < o.size(); ++c) o[c] += weight * static_cast<double>(v[c]);
    sum += weight;
  }
  for (double& x : o) x = sum == 0 ? 0 : x / sum;
  return o;
}

Selection all_heads(const WherePtr& where, const SelectCall& call) {
  Selection some;
  some.of_head.assign(call.heads.size(), where);
  return some;
}

std::vector<WherePtr> growing() {
  return {make_where(where::Window{20}), make_where(where::Window{200}),
          unite({make_where(where::Window{200}), make_where(where::Sink{70})}), make_where(where::Dense{})};
}

TEST(Trial, EqualsTheDefinition) {
  const std::unique_ptr<Team> team = make_thread_team(3);
  for (const auto& [c, softcap, scale] :
       {std::tuple{SelectCase{.q_begin = 0, .q_len = 300, .n_heads = 3, .head_dim = 64}, 0.0F, 0.2F},
        {SelectCase{.q_begin = 515, .q_len = 200, .n_heads = 14, .n_kv_heads = 2, .k_type = DType::f16}, 0.0F, -0.3F},
        {SelectCase{.q_begin = 1000, .q_len = 77, .n_heads = 4, .head_dim = 96, .k_type = DType::q8_0, .gain = 4}, 3.0F,
         0.1F}}) {
    SCOPED_TRACE(::testing::PrintToString(c));
    const SelectProblem problem(c);
    const std::vector<WherePtr> wheres = growing();
    testing::on_every_cpu([&] {
      SelectCall call = problem.call(*team);
      call.softcap = softcap, call.scale = scale;
      std::vector<Selection> rungs;
      for (const WherePtr& where : wheres) rungs.push_back(all_heads(where, call));
      const std::vector<Pos> rows = {0, 1, 40, 63, 64, c.q_len - 1};
      const std::vector<HeadTrial> trials = try_rungs(call, rows, rungs);
      for (const int head : problem.heads) {
        HeadTrial exact{0, std::vector<RungTrial>(rungs.size())};
        for (const Pos row : rows) {
          const auto whole = attend_row(problem, call, row, head, *wheres.back(), false);
          for (const double x : whole) exact.size += x * x;
          for (std::size_t rung = 0; rung < rungs.size(); ++rung) {
            const Where& where = *wheres[rung];
            const auto some = attend_row(problem, call, row, head, where, true);
            for (std::size_t i = 0; i < some.size(); ++i) exact.rungs[rung].error += std::pow(some[i] - whole[i], 2);
            for (Pos k_pos = 0; k_pos <= call.q_begin + row; ++k_pos) {
              exact.rungs[rung].pairs += where.admits(call.q_begin + row, k_pos) ? 1 : 0;
            }
          }
        }
        const HeadTrial& trial = trials[static_cast<std::size_t>(head)];
        EXPECT_NEAR(trial.size, exact.size, 1e-5 * exact.size) << head;
        for (std::size_t rung = 0; rung < rungs.size(); ++rung) {
          EXPECT_EQ(trial.rungs[rung].pairs, exact.rungs[rung].pairs) << head << ' ' << rung;
          EXPECT_NEAR(trial.rungs[rung].error, exact.rungs[rung].error, 1e-5 * exact.size) << head << ' ' << rung;
        }
        EXPECT_EQ(trial.rungs.back().error, 0) << "all blocks are all blocks";
      }
    });
  }
}

TEST(Trial, IsTheSameForAnyTeam) {
  const SelectProblem problem({.q_begin = 700, .q_len = 100, .n_heads = 14, .n_kv_heads = 2, .head_dim = 64});
  Alone alone;
  const std::unique_ptr<Team> team = make_thread_team(3);
  const std::vector<Pos> rows = {3, 50, 99};
  std::vector<std::vector<HeadTrial>> of_team;
  for (Team* any : {static_cast<Team*>(&alone), team.get()}) {
    const SelectCall call = problem.call(*any);
    const std::vector<Selection> rungs = {all_heads(make_where(where::Window{64}), call)};
    of_team.push_back(try_rungs(call, rows, rungs));
  }
  for (std::size_t head = 0; head < 14; ++head) {
    EXPECT_EQ(of_team[0][head].size, of_team[1][head].size);
    EXPECT_EQ(of_team[0][head].rungs[0].error, of_team[1][head].rungs[0].error);
  }
}

TEST(Trial, WhatIsNoNumberStaysInItsHeads) {
  SelectProblem problem({.q_begin = 200, .q_len = 30, .n_heads = 4, .n_kv_heads = 2});
  problem.v.set(20, 0, std::vector<float>(32, std::numeric_limits<float>::quiet_NaN()));
  Alone alone;
  const SelectCall call = problem.call(alone);
  const std::vector<Selection> rungs = {all_heads(make_where(where::Window{100}), call)};
  const std::vector<Pos> rows = {0, 29};
  const std::vector<HeadTrial> trials = try_rungs(call, rows, rungs);
  EXPECT_TRUE(std::isnan(trials[0].size) && std::isnan(trials[1].size));
  EXPECT_TRUE(std::isfinite(trials[2].size) && std::isfinite(trials[3].size));
  EXPECT_GT(trials[2].rungs[0].error, 0);
}

TEST(TrialMemory, AddsWhatWasTriedBeforeInTheSameText) {
  const SelectProblem problem({.q_begin = 0, .q_len = 30, .n_heads = 2});
  Alone alone;
  const SelectCall whole = problem.call(alone);
  const auto call = [&](Pos begin, Pos end) { return SelectProblem::part(whole, {begin, end}); };
  const auto tried = [](double size, double error, double pairs) {
    return std::vector<HeadTrial>{{size, {{error, pairs}}}, {2 * size, {{error / 2, pairs}}}};
  };
  TrialMemory memory;
  std::vector<HeadTrial> trials = tried(10, 4, 100);
  memory.join(call(0, 10), trials);
  EXPECT_EQ(trials[0].size, 10) << "the first call of a text";
  trials = tried(20, 2, 300);
  memory.join(call(10, 20), trials);
  EXPECT_DOUBLE_EQ(trials[0].size, 20 + 0.7 * 10);
  EXPECT_DOUBLE_EQ(trials[0].rungs[0].error, 2 + 0.7 * 4);
  EXPECT_DOUBLE_EQ(trials[1].rungs[0].error, 1 + 0.7 * 2);
  EXPECT_EQ(trials[0].rungs[0].pairs, 300);
  trials = tried(30, 1, 400);
  memory.join(call(20, 30), trials);
  EXPECT_DOUBLE_EQ(trials[0].size, 30 + 0.7 * (20 + 0.7 * 10));
  trials = tried(5, 1, 100);
  memory.join(call(10, 20), trials);
  EXPECT_EQ(trials[0].size, 5) << "not where the last call ended: another text";
  trials = {{5, {{1, 1}, {0, 2}}}, {5, {{1, 1}, {0, 2}}}};
  memory.join(call(20, 30), trials);
  EXPECT_EQ(trials[0].size, 5) << "other strengths";
}

}  // namespace
}  // namespace saccade
