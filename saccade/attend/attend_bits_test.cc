// What must change no bit of attend().

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "saccade/attend/attend.h"
#include "tests/support/any_case.h"

namespace saccade {
namespace {

using testing::any_case;
using testing::AttendCase;
using testing::on_every_target;
using testing::Output;
using testing::Problem;
using testing::team_of;
using testing::used_workspace;

TEST(Attend, WithoutLseTheSameBits) {
  for (const Pos q_len : {1, 49}) {
    AttendCase c = any_case(11);
    c.q_len = q_len, c.kv_len = 5000;
    const Problem problem(c);
    on_every_target([&](const std::string&) {
      Output with(q_len, c.n_heads, c.v_dim(), c.o_layout), without(q_len, c.n_heads, c.v_dim(), c.o_layout);
      problem.run(with, team_of(2), used_workspace());
      problem.run(without, team_of(2), used_workspace(), false);
      for (Pos i = 0; i < q_len; ++i) {
        for (Pos head = 0; head < c.n_heads; ++head) {
          const auto a = with.o(i, head), b = without.o(i, head);
          EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size_bytes()), 0);
          EXPECT_TRUE(std::isnan(without.lse(i, head))) << "lse was not asked for";
        }
      }
    });
  }
}

TEST(Attend, SameTeamSizeSameBits) {
  for (const Pos q_len : {1, 2, 5, 131}) {
    for (const int size : {1, 2, 3, 7}) {
      AttendCase c = any_case(12);
      c.q_len = q_len, c.kv_len = q_len < 8 ? 20'000 : 700, c.head_dim = 64, c.team = size;
      const Problem problem(c);
      on_every_target([&](const std::string&) {
        Output first(q_len, c.n_heads, c.v_dim(), c.o_layout);
        problem.run(first, team_of(size), used_workspace());
        for (int repeat = 0; repeat < 4; ++repeat) {
          Output again(q_len, c.n_heads, c.v_dim(), c.o_layout);
          Workspace fresh;
          problem.run(again, team_of(size), repeat % 2 == 0 ? used_workspace() : fresh);
          ASSERT_TRUE(again.same_bits(first)) << c;
        }
      });
    }
  }
}

/// Most of them more than this machine has cores.
TEST(Attend, AnyNumberOfThreads) {
  for (const Pos q_len : {1, 60}) {
    AttendCase c{.seed = 16, .q_len = q_len, .kv_len = 3000, .n_heads = 4, .n_kv_heads = 2, .head_dim = 64};
    c.head_dim_v = 32, c.sink_scores = true, c.most_rows = 8;
    const Problem problem(c);
    std::vector<testing::Expected> rows;
    for (const auto& [i, head] : testing::rows_to_judge(c)) rows.push_back(problem.expect(i, head));
    for (int n_threads = 1; n_threads <= 64; ++n_threads) {
      const std::unique_ptr<Team> team = make_thread_team(n_threads);
      Output first = problem.output(), again = problem.output();
      problem.run(first, *team, used_workspace());
      problem.run(again, *team, used_workspace());
      EXPECT_TRUE(again.same_bits(first)) << n_threads << " threads";
      for (const testing::Expected& row : rows) {
        const float lse = first.lse(row.i, row.head);
        EXPECT_TRUE(judge(row, first.o(row.i, row.head), &lse, c.seed)) << n_threads << " threads";
      }
    }
  }
}

}  // namespace
}  // namespace saccade
