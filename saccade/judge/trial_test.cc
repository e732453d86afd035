#include "saccade/judge/trial.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "saccade/where/none.h"
#include "saccade/where/parts/lists.h"
#include "tests/support/judge_cases.h"

namespace saccade::judge {
namespace {

using testing::AttendCase;
using testing::Attended;
using testing::Problem;
using testing::team_of;

WherePtr blocks() {
  Lists lists;
  for (int u = 0; u < 10; ++u) lists.add(std::vector<std::int32_t>{0, u / 2 + 1, u + 7});
  return std::make_shared<BlockLists>(128, 64, 0, std::move(lists));
}

/// o_dense + delta is attention over the shown keys, within the rule of oracle/expected.h; the mass is the
/// sum of the shown weights.
void check_case(const AttendCase& c) {
  const Attended attended(c);
  const Problem& problem = attended.problem;
  const AttendCall& call = attended.call;
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
  const DType types[] = {DType::f32, DType::f16, DType::q8_0};
  const WherePtr more[] = {blocks(), make_where(where::None{})};
  for (const AttendCase& c : testing::judge_cases(types, more)) check_case(c);
}

TEST(Trial, DenseChangesNothing) {
  const Attended attended({.seed = 2, .q_len = 40, .kv_len = 700, .n_heads = 1});
  const Problem& problem = attended.problem;
  const AttendCall& call = attended.call;
  const auto rows = sample_rows(40, 8);
  const TrialOutcome outcome = TrialRows(call, 0, rows, team_of(2)).with(problem.where(0));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto row = oracle::expect_row(
        problem.in, rows[i], 0, [](Pos q_pos, Pos k_pos) { return k_pos <= q_pos; }, [](auto score) { return score; });
    for (std::size_t c = 0; c < 64; ++c) EXPECT_LE(std::fabs(outcome.delta[i * 64 + c]), 2 * row.allowed_o());
  }
}

TEST(Trial, TheTeamChangesNoBit) {
  const Attended attended({.seed = 3, .q_len = 70, .kv_len = 900, .n_heads = 1, .where = {blocks()}});
  const Problem& problem = attended.problem;
  const AttendCall& call = attended.call;
  const auto rows = sample_rows(70, 9);
  const TrialOutcome alone = TrialRows(call, 0, rows, team_of(1)).with(problem.where(0));
  const TrialOutcome together = TrialRows(call, 0, rows, team_of(3)).with(problem.where(0));
  EXPECT_EQ(alone.mass, together.mass);
  EXPECT_EQ(alone.delta, together.delta);
}

}  // namespace
}  // namespace saccade::judge
