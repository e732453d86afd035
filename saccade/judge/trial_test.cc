#include "saccade/judge/trial.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "saccade/where/none.h"
#include "saccade/where/parts/lists.h"
#include "saccade/where/sink.h"
#include "saccade/where/window.h"
#include "tests/support/attend_case.h"

namespace saccade::judge {
namespace {

using testing::AttendCase;
using testing::Output;
using testing::Problem;
using testing::team_of;
using testing::used_workspace;

WherePtr blocks() {
  Lists lists;
  for (int u = 0; u < 10; ++u) lists.add(std::vector<std::int32_t>{0, u / 2 + 1, u + 7});
  return std::make_shared<BlockLists>(128, 64, 0, std::move(lists));
}

/// o_dense + delta is attention over the shown keys, within the rule of oracle/expected.h; the mass is the
/// sum of the shown weights.
void check_case(const AttendCase& c) {
  const Problem problem(c);
  Output out = problem.output();
  problem.run(out, team_of(2), used_workspace());
  std::vector<const Where*> borrowed;
  const AttendCall call = problem.call(out, borrowed);
  const auto shape = [&](auto score) { return weigh::Softcap{c.softcap}.shape(score); };
  const auto rows = sample_rows(c.q_len, 6, 3);
  for (int head = 0; head < c.n_heads; ++head) {
    const TrialRows trial(call, head, rows, team_of(2));
    const Where& where = problem.where(head);
    const TrialOutcome outcome = trial.with(where);
    const auto admits = [&](Pos q_pos, Pos k_pos) { return k_pos <= q_pos && where.admits(q_pos, k_pos); };
    for (std::size_t i = 0; i < rows.size(); ++i) {
      std::vector<float> o;
      const auto dim = static_cast<std::size_t>(call.v.dim);
      for (std::size_t at = i * dim; at < (i + 1) * dim; ++at)
        o.push_back(static_cast<float>(trial.dense().o[at] + outcome.delta[at]));
      ASSERT_TRUE(oracle::judge(oracle::expect_row(problem.in, rows[i], head, admits, shape), o, nullptr, c.seed)) << c;
      double mass = 0;
      float plain = 0;
      const auto weights = trial.dense().weights_of(static_cast<Pos>(i));
      for (std::size_t j = 0; j < weights.size(); ++j) {
        if (admits(trial.dense().q_pos(static_cast<Pos>(i)), static_cast<Pos>(j)))
          mass += weights[j], plain += weights[j];
      }
      // The rule of oracle/expected.h for a share of a whole, which is 1.
      const double allowed = 2 * std::fabs(plain - mass) + 4 * std::numeric_limits<float>::epsilon();
      ASSERT_LE(std::fabs(outcome.mass[i] - mass), allowed) << c;
    }
  }
}

TEST(Trial, IsAttentionOverTheShownKeys) {
  const WherePtr window = make_where(where::Window{90});
  const WherePtr both = unite({make_where(where::Window{200}), make_where(where::Sink{4})});
  for (const DType type : {DType::f32, DType::f16, DType::q8_0}) {
    for (const float gain : {1.0F, 8.0F}) {
      check_case({.seed = 1,
                  .q_len = 37,
                  .kv_len = 1100,
                  .n_heads = 4,
                  .head_dim = 64,
                  .head_dim_v = 96,
                  .k_type = type,
                  .v_type = type,
                  .where_name = "window, both, blocks and none",
                  .where = {window, both, blocks(), make_where(where::None{})},
                  .gain = gain});
    }
  }
}

TEST(Trial, SoftCapsSinkScoresAndOtherHeads) {
  check_case({.seed = 11,
              .q_len = 9,
              .kv_len = 600,
              .n_heads = 4,
              .n_kv_heads = 2,
              .where = {make_where(where::Window{100})},
              .kv_head = {1, 0, 0, 1},
              .sink_scores = true,
              .softcap = 5.0F,
              .gain = 4.0F});
  check_case({.seed = 12, .q_len = 300, .kv_len = 300, .n_heads = 1, .where = {make_where(where::Window{7})}});
  check_case({.seed = 13, .q_len = 1, .kv_len = 1, .n_heads = 1});
}

TEST(Trial, DenseChangesNothing) {
  const Problem problem({.seed = 2, .q_len = 40, .kv_len = 700, .n_heads = 1});
  Output out = problem.output();
  std::vector<const Where*> borrowed;
  const AttendCall call = problem.call(out, borrowed);
  const auto rows = sample_rows(40, 8);
  const TrialOutcome outcome = TrialRows(call, 0, rows, team_of(2)).with(problem.where(0));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto row = oracle::expect_row(
        problem.in, rows[i], 0, [](Pos q_pos, Pos k_pos) { return k_pos <= q_pos; }, [](auto score) { return score; });
    for (std::size_t c = 0; c < 64; ++c) EXPECT_LE(std::fabs(outcome.delta[i * 64 + c]), 2 * row.allowed_o());
  }
}

TEST(Trial, TheTeamChangesNoBit) {
  const Problem problem({.seed = 3, .q_len = 70, .kv_len = 900, .n_heads = 1, .where = {blocks()}});
  Output out = problem.output();
  std::vector<const Where*> borrowed;
  const AttendCall call = problem.call(out, borrowed);
  const auto rows = sample_rows(70, 9);
  const TrialOutcome alone = TrialRows(call, 0, rows, team_of(1)).with(problem.where(0));
  const TrialOutcome together = TrialRows(call, 0, rows, team_of(3)).with(problem.where(0));
  EXPECT_EQ(alone.mass, together.mass);
  EXPECT_EQ(alone.delta, together.delta);
}

}  // namespace
}  // namespace saccade::judge
