#include "saccade/plan/planned.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "saccade/see/column_sums.h"
#include "saccade/see/entropy.h"
#include "saccade/see/rows.h"
#include "saccade/where/random.h"
#include "saccade/where/window.h"
#include "tests/support/attend_case.h"
#include "tests/support/error_line.h"

namespace saccade {
namespace {

using testing::AttendCase;
using testing::error_line;
using testing::Output;
using testing::Problem;
using testing::team_of;
using testing::used_workspace;

/// Everybody sees everything.
class All final : public Where {
 public:
  bool admits(Pos, Pos) const override { return true; }
  void visits(Range, VisitList& out) const override { out = {{{0, 1 << 20}, true}}; }
  void mask(Pos, Range keys, std::uint32_t* words) const override {
    std::fill_n(words, (keys.size() + 31) / 32, ~std::uint32_t{0});
  }
};

/// The problem's call without its patterns. Borrows from the problem.
PlannedCall planned(const Problem& problem, Output& out) {
  std::vector<const Where*> ignored;
  PlannedCall call{.attend = problem.call(out, ignored)};
  call.attend.where = {};
  return call;
}

/// Runs the plan on the case, whose own `where` says what should come out.
PlannedCost check_planned(const AttendCase& c, const Plan& plan, bool causal = true) {
  const Problem problem(c);
  Output out = problem.output();
  PlannedCall call = planned(problem, out);
  call.causal = causal;
  const PlannedCost cost = attend(plan, call, team_of(c.team), used_workspace());
  for (const auto& [i, head] : testing::rows_to_judge(c)) {
    const float lse = out.lse(i, head);
    EXPECT_TRUE(testing::judge(problem.expect(i, head), out.o(i, head), &lse, c.seed)) << c;
  }
  return cost;
}

TEST(Planned, GivesEachHeadItsRow) {
  const Plan plan = Plan::from_json(
      R"json({"default": {"attn": "dense"}, "rows": [{"layers": "3", "heads": "1", "attn": "window(9)"}]})json");
  const WherePtr dense = make_where(where::Dense{}), window = make_where(where::Window{9});
  AttendCase c{.q_len = 70, .kv_len = 200, .where = {dense, window}};
  const Problem problem(c);
  Output by_plan = problem.output(), by_hand = problem.output();
  PlannedCall call = planned(problem, by_plan);
  call.layer = 3;
  const PlannedCost cost = attend(plan, call, team_of(2), used_workspace());
  const AttendCost same = problem.run(by_hand, team_of(2), used_workspace());
  EXPECT_TRUE(by_plan.same_bits(by_hand));
  EXPECT_EQ(cost.attend.pairs_visited, same.pairs_visited);
  EXPECT_EQ(cost.pairs_dense, dense_pairs(130, 70, 200, 2));
  EXPECT_EQ(cost.heads_chosen, 0);
  const std::vector<int> numbers{7, 1};  // the second head of this call is the plan's head 1
  Output of_some = problem.output();
  call.attend.o = of_some.view(), call.attend.lse = of_some.lse();
  call.heads = numbers;
  attend(plan, call, team_of(2), used_workspace());
  EXPECT_TRUE(of_some.same_bits(by_hand));
  call.heads = std::span(numbers).first(1);
  EXPECT_EQ(error_line([&] { attend(plan, call, team_of(2), used_workspace()); }),
            "attend: heads must have one entry per query head (2), got 1");
}

TEST(Planned, SteersTheHeadsThatARowNames) {
  const Plan plan = Plan::from_json(R"json({"rows": [{"layers": "3", "heads": "1", "steer": "scale_head(0)"}]})json");
  const Problem problem({.q_len = 70, .kv_len = 200});
  Output plain = problem.output(), steered = problem.output(), elsewhere = problem.output();
  problem.run(plain, team_of(2), used_workspace());
  PlannedCall call = planned(problem, steered);
  call.layer = 3;
  attend(plan, call, team_of(2), used_workspace());
  for (Pos i = 0; i < 70; ++i) {
    EXPECT_TRUE(steered.same_bits(plain, i, 0)) << i;
    for (const float o : steered.o(i, 1)) EXPECT_EQ(o, 0.0F) << i;
  }
  attend(plan, planned(problem, elsewhere), team_of(2), used_workspace());
  EXPECT_TRUE(elsewhere.same_bits(plain)) << "layer 0 is not named";
}

TEST(Planned, ReadsABiasWhereverAQuerySeesAKey) {
  for (const Pos q_len : {1, 33, 150}) {
    for (const DType type : {DType::f16, DType::f32}) {
      AttendCase c{.q_len = q_len, .kv_len = 300, .where = {make_where(where::Window{77})}};
      c.bias_type = type;
      c.bias_keys = {0, 300};
      c.slopes = true;
      check_planned(c, Plan::from_spec("window(77)"));
    }
  }
}

TEST(Planned, WithoutCausalSeesAll) {
  for (const bool biased : {false, true}) {
    AttendCase c{.q_len = 90, .kv_len = 64, .where = {std::make_shared<All>()}, .q_begin = 3};
    if (biased) c.bias_type = DType::f32, c.bias_keys = {0, 64};
    const PlannedCost cost = check_planned(c, Plan::from_spec("dense"), false);
    if (!biased) EXPECT_EQ(cost.attend.pairs_visited, 90 * 64 * 2);
    EXPECT_EQ(cost.attend.pairs_visited, cost.pairs_dense);
  }
}

TEST(Planned, WithoutCausalAPatternIsRefused) {
  const Problem problem({.q_len = 4, .kv_len = 4});
  Output out = problem.output();
  PlannedCall call = planned(problem, out);
  call.causal = false;
  EXPECT_EQ(error_line([&] { attend(Plan::from_spec("window(2)"), call, team_of(1), used_workspace()); }),
            "attend: without causal, attn must be dense or a list of visits: patterns and selectors are causal, got "
            "window(2)");
}

TEST(Planned, TakesPatternsInThePlaceOfThePlan) {
  const auto all = std::make_shared<All>();
  for (const bool causal : {true, false}) {
    AttendCase c{.q_len = 50, .kv_len = 50, .where = {causal ? make_where(where::Dense{}) : all}};
    const Problem problem(c);
    Output given = problem.output(), expected = problem.output();
    PlannedCall call = planned(problem, given);
    const Where* const where = all.get();
    call.attend.where = {&where, 1};
    call.causal = causal;
    attend(Plan::from_spec("window(3)"), call, team_of(2), used_workspace());
    problem.run(expected, team_of(2), used_workspace());
    EXPECT_TRUE(given.same_bits(expected)) << causal;
  }
}

TEST(Planned, SelectorsAreAskedOnceForTheirHeads) {
  const Plan plan = Plan::from_json(
      R"json({"default": {"attn": "random(density=0.2)"}, "rows": [{"heads": "2", "attn": "window(9)"}]})json");
  AttendCase c{.q_len = 256, .kv_len = 1024, .n_heads = 4, .n_kv_heads = 2};
  const Problem problem(c);
  Output out = problem.output(), again = problem.output();
  PlannedCall call = planned(problem, out);
  call.fallbacks = false;
  const Selection chosen = choose(plan, call, team_of(2));
  ASSERT_EQ(chosen.of_head.size(), 4U);
  EXPECT_TRUE(chosen.of_head[2]->admits(800, 792));
  EXPECT_FALSE(chosen.of_head[2]->admits(800, 791));
  const PlannedCost cost = attend(plan, call, team_of(2), used_workspace());
  EXPECT_EQ(cost.heads_chosen, 3);
  EXPECT_LT(cost.attend.pairs_visited, cost.pairs_dense / 2);
  std::vector<const Where*> where;
  AttendCall by_hand = problem.call(again, where);
  where.clear();
  for (const WherePtr& one : chosen.of_head) where.push_back(one.get());
  by_hand.where = where;
  attend(by_hand, team_of(2), used_workspace());
  EXPECT_TRUE(out.same_bits(again));
}

TEST(Planned, RefusesWhatDoesNotFit) {
  const auto line = [](const std::string& plan, const AttendCase& c) {
    const Problem problem(c);
    Output out = problem.output();
    return error_line([&] { attend(Plan::load(plan), planned(problem, out), team_of(1), used_workspace()); });
  };
  EXPECT_EQ(line("random(density=0.5)", {.q_len = 8, .kv_len = 4, .q_begin = 0}),
            "attend: a selector chooses for queries that have a key of their own: q_begin + q_len must be <= kv_len "
            "(4), got 8");
  EXPECT_EQ(line("dense", {.q_len = 2, .kv_len = 2, .head_dim = 36}).substr(0, 24), "attend: head_dim and hea");
  const Plan plan = Plan::from_json(R"json({"rows": [{"heads": "5", "attn": "window(9)"}]})json");
  const Problem problem({.q_len = 2, .kv_len = 2});
  Output out = problem.output();
  EXPECT_EQ(error_line([&] { attend(plan, planned(problem, out), team_of(1), used_workspace()); }),
            "plan: rows[0].heads names head 5, but the model has 2 (0-1)");
  EXPECT_EQ(error_line([&] { choose(plan, planned(problem, out), team_of(1)); }),
            "plan: rows[0].heads names head 5, but the model has 2 (0-1)");
}

TEST(Planned, NoQueriesAndNoKeysAreFine) {
  check_planned({.q_len = 0, .kv_len = 4}, Plan::from_spec("random(density=0.5)"));
  check_planned({.q_len = 3, .kv_len = 0}, Plan::from_spec("random(density=0.5)"));
  check_planned({.q_len = 3, .kv_len = 0}, Plan::from_spec("dense"), false);
}

TEST(Planned, ProbesOfBothPassesSeeThePlansChoiceAndChangeNoBit) {
  for (const bool causal : {true, false}) {
    const Plan plan = Plan::from_spec(causal ? "window(9)" : "dense");
    AttendCase c{.q_len = 70, .kv_len = 200};
    c.bias_type = DType::f32, c.bias_keys = {0, 200};
    const Problem problem(c);
    Output plain = problem.output(), watched = problem.output();
    attend(
        plan,
        [&] {
          PlannedCall call = planned(problem, plain);
          call.causal = causal;
          return call;
        }(),
        team_of(2), used_workspace());
    PlannedCall call = planned(problem, watched);
    call.causal = causal;
    see::Entropy first;
    see::Entropy second;
    see::Rows rows;
    rows.queries = {130, 199};
    RowProbe* const probes[] = {&first};
    Probe* const looks[] = {&second, &rows};
    call.attend.probes = probes;
    call.second_looks = looks;
    attend(plan, call, team_of(2), used_workspace());
    EXPECT_TRUE(watched.same_bits(plain)) << causal;
    for (Pos i = 0; i < 70; ++i) {
      for (int head = 0; head < 2; ++head) {
        EXPECT_NEAR(*first.values().row(head, 130 + i), *second.values().row(head, 130 + i), 1e-5) << i;
      }
    }
    for (int head = 0; head < 2; ++head) {
      const auto row = rows.row(head, 199);
      const auto seen = static_cast<std::size_t>(std::ranges::count_if(row, [](float weight) { return weight > 0; }));
      EXPECT_LE(seen, causal ? 9U : 200U);
      EXPECT_TRUE(std::all_of(row.begin(), row.begin() + (causal ? 191 : 0), [](float weight) { return weight == 0; }));
      EXPECT_NEAR(std::accumulate(row.begin(), row.end(), 0.0), seen == 0 ? 0 : 1, 1e-5);
    }
  }
}

TEST(Planned, AChoiceStopsSoonWhenAsked) {
  const Problem problem({.q_len = 1024, .kv_len = 1024, .n_heads = 4, .n_kv_heads = 4});
  Output out = problem.output();
  PlannedCall call = planned(problem, out);
  call.fallbacks = false;
  const Plan plan = Plan::from_spec("moba(chunk=64)");
  const Selection whole = choose(plan, call, team_of(1));
  int asked = 0;
  call.stop = [&] { return ++asked == 2; };
  EXPECT_EQ(error_line([&] { choose(plan, call, team_of(1)); }), "attend: stopped by the caller");
  EXPECT_EQ(asked, 2) << "the heads behind it are left";
  call.stop = [] { return false; };
  const Selection again = choose(plan, call, team_of(2));
  for (std::size_t head = 0; head < 4; ++head) {
    for (const Pos q_pos : {100, 511, 1023}) {
      for (Pos k_pos = 0; k_pos <= q_pos; ++k_pos) {
        EXPECT_EQ(again.of_head[head]->admits(q_pos, k_pos), whole.of_head[head]->admits(q_pos, k_pos));
      }
    }
  }
}

TEST(Planned, ASecondLookStopsSoonWhenAsked) {
  const Problem problem({.q_len = 600, .kv_len = 600, .n_heads = 2});
  Output out = problem.output();
  PlannedCall call = planned(problem, out);
  see::ColumnSums sums;
  Probe* const looks[] = {&sums};
  int asked = 0;
  call.stop = [&] {
    ++asked;
    return false;
  };
  attend(Plan::from_spec("dense"), call, team_of(1), used_workspace());
  const int of_attention = std::exchange(asked, 0);
  call.second_looks = looks;
  call.stop = [&] { return ++asked == of_attention + 2; };
  EXPECT_EQ(error_line([&] { attend(Plan::from_spec("dense"), call, team_of(1), used_workspace()); }),
            "attend: stopped by the caller");
  double seen = 0;
  for (const double sum : sums.sums().head(0)) seen += sum;
  EXPECT_LT(seen, 600 * 0.99) << "a sum of all weights would be the number of queries";
}

TEST(Planned, StopsSoonWhenAsked) {
  const Problem problem({.q_len = 2048, .kv_len = 2048, .n_heads = 4, .n_kv_heads = 4});
  Output out = problem.output();
  PlannedCall call = planned(problem, out);
  int asked = 0;
  call.stop = [&] { return ++asked == 2; };
  EXPECT_EQ(error_line([&] { attend(Plan::from_spec("dense"), call, team_of(1), used_workspace()); }),
            "attend: stopped by the caller");
  Output whole = problem.output(), plain = problem.output();
  call.attend.o = whole.view(), call.attend.lse = whole.lse();
  call.stop = [] { return false; };
  attend(Plan::from_spec("dense"), call, team_of(2), used_workspace());
  problem.run(plain, team_of(2), used_workspace());
  EXPECT_TRUE(whole.same_bits(plain));
}

}  // namespace
}  // namespace saccade
