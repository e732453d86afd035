// Faint keys that go by runs (where/skip_softmax.h), in the kernel that skips: i16.

#include "saccade/oracle/skip_softmax.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "saccade/attend/attend.h"
#include "saccade/kernel/fixed.h"
#include "saccade/see/entropy.h"
#include "saccade/see/top_keys.h"
#include "saccade/where/dense.h"
#include "tests/support/attend_case.h"

namespace saccade {
namespace {

using testing::AttendCase;
using testing::Output;
using testing::Problem;
using testing::team_of;
using testing::used_workspace;

WherePtr dense() { return make_where(where::Dense{}); }

/// Queries behind all keys, so that every block is seen whole.
AttendCase behind(std::uint64_t seed, Pos q_len, Pos kv_len, double share) {
  AttendCase c{.seed = seed, .q_len = q_len, .kv_len = kv_len, .n_heads = 1, .head_dim = 64, .team = 1};
  c.precision = Precision::kI16, c.q_begin = kv_len, c.gain = 3.0F;
  c.where = {share > 0 ? skipping(dense(), share) : dense()};
  return c;
}

class SkipSoftmax : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!kernel::has_fixed()) GTEST_SKIP() << "this CPU has no AVX-512 VNNI, and only i16 skips";
  }
};

/// 16 rows, one vector of a tile, against the definition. Where a decision is closer than rounding goes the seed is
/// passed over; most are not.
TEST_F(SkipSoftmax, EqualsItsDefinition) {
  constexpr Pos kRows = 16, kKeys = 1024;
  std::int64_t n_compared = 0, n_skipped = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const double share = seed % 2 == 0 ? 0.1 : 0.03;
    const Problem problem(behind(seed, kRows, kKeys, share));
    std::vector<std::vector<double>> scores(kRows), values(kKeys);
    for (Pos j = 0; j < kKeys; ++j) values[j].assign(problem.in.v_row(j, 0), problem.in.v_row(j, 0) + 64);
    for (Pos i = 0; i < kRows; ++i) {
      for (Pos j = 0; j < kKeys; ++j) {
        double dot = 0;
        for (Pos c = 0; c < 64; ++c) dot += double{problem.in.q_row(i, 0)[c]} * double{problem.in.k_row(j, 0)[c]};
        scores[i].push_back(double{problem.in.scale} * dot);
      }
    }
    const oracle::SkippedRows wanted = oracle::skip_softmax(scores, values, share);
    if (wanted.gap < 2e-4) continue;
    ++n_compared;
    Output out = problem.output();
    const AttendCost cost = problem.run(out, team_of(1), used_workspace());
    EXPECT_EQ(cost.pairs_skipped, wanted.n_skipped) << "seed " << seed;
    n_skipped += cost.pairs_skipped;
    EXPECT_EQ(cost.pairs_visited, kRows * kKeys);
    for (Pos i = 0; i < kRows; ++i) {
      EXPECT_NEAR(out.lse(i, 0), wanted.lse[i], 1e-3) << "seed " << seed << " row " << i;
      for (std::size_t c = 0; c < 64; ++c) {
        EXPECT_NEAR(out.o(i, 0)[c], wanted.o[i][c], 4.0 * 4 / 4096) << "seed " << seed << " row " << i;
      }
    }
  }
  EXPECT_GE(n_compared, 10);
  EXPECT_GT(n_skipped, n_compared * kRows * kKeys / 5);
}

/// Whatever the tiles look like: a row misses dense attention by what its faint keys weigh together, at most.
TEST_F(SkipSoftmax, MissesNoMoreThanTheFaintKeysWeigh) {
  for (const Pos head_dim : {40, 64, 128}) {
    for (const Pos q_len : {17, 48, 100}) {
      constexpr double kShare = 0.1;
      AttendCase c = behind(static_cast<std::uint64_t>(head_dim + q_len), q_len, 1000, kShare);
      c.head_dim = head_dim, c.n_heads = 3, c.gain = 3.0F, c.team = 3;
      const Problem problem(c);
      Output out = problem.output();
      const AttendCost cost = problem.run(out, team_of(c.team), used_workspace());
      EXPECT_GT(cost.pairs_skipped, cost.pairs_visited / 10) << c;
      EXPECT_LT(cost.pairs_skipped, cost.pairs_visited) << c;
      for (Pos i = 0; i < q_len; ++i) {
        for (Pos head = 0; head < c.n_heads; ++head) {
          const auto visible = [](Pos, Pos) { return true; };
          const auto shape = [](auto score) { return score; };
          const auto row = oracle::attend_row<double>(problem.in, i, head, visible, shape);
          double faint = 0, largest = 0;
          for (Pos j = 0; j < c.kv_len; ++j) {
            double dot = 0;
            for (Pos d = 0; d < head_dim; ++d)
              dot += double{problem.in.q_row(i, head)[d]} * double{problem.in.k_row(j, head)[d]};
            const double weight = std::exp(double{problem.in.scale} * dot - row.lse);
            faint += weight < kShare ? weight : 0;
            for (Pos d = 0; d < head_dim; ++d)
              largest = std::max(largest, std::fabs(double{problem.in.v_row(j, head)[d]}));
          }
          // What the faint keys really weigh, and as much again for what they are taken to weigh: eight times at most.
          EXPECT_LE(std::fabs(double{out.lse(i, head)} - row.lse), std::log1p(8 * faint) + 1e-3) << c;
          for (std::size_t d = 0; d < row.o.size(); ++d)
            EXPECT_LE(std::fabs(double{out.o(i, head)[d]} - row.o[d]), 2 * 9 * faint * largest + 4e-3 * largest) << c;
        }
      }
    }
  }
}

TEST_F(SkipSoftmax, KeepsABlazingKeyWhereverItLies) {
  for (const Pos at : {0, 7, 300, 999}) {
    AttendCase c = behind(5, 48, 1000, 0.5);
    Problem problem(c);
    std::vector<float> row(64, 0.0F);
    row[3] = 8.0F;
    for (Pos i = 0; i < c.q_len; ++i) problem.q.set(i, 0, row);
    row[3] = 16.0F;
    problem.k.set(at, 0, row);
    problem.read_tensors();
    Output out = problem.output();
    problem.run(out, team_of(1), used_workspace());
    for (Pos i = 0; i < c.q_len; ++i) {
      for (std::size_t d = 0; d < 64; ++d) EXPECT_NEAR(out.o(i, 0)[d], problem.in.v_row(at, 0)[d], 4e-3) << at;
    }
  }
}

TEST_F(SkipSoftmax, ATinyShareLeavesEveryBit) {
  const Problem plain(behind(7, 100, 1000, 0)), tiny(behind(7, 100, 1000, 1e-30));
  Output a = plain.output(), b = tiny.output();
  plain.run(a, team_of(1), used_workspace());
  EXPECT_EQ(tiny.run(b, team_of(1), used_workspace()).pairs_skipped, 0);
  for (Pos i = 0; i < 100; ++i) EXPECT_TRUE(std::ranges::equal(a.o(i, 0), b.o(i, 0)));
}

TEST_F(SkipSoftmax, ProbesChangeNoBit) {
  const Problem problem(behind(8, 100, 1000, 0.1));
  Output alone = problem.output(), watched = problem.output();
  EXPECT_GT(problem.run(alone, team_of(2), used_workspace()).pairs_skipped, 0);
  see::Entropy entropy;
  see::TopKeys top;
  top.per_head = true;
  RowProbe* const probes[] = {&entropy, &top};
  std::vector<const Where*> where;
  AttendCall call = problem.call(watched, where);
  call.probes = probes;
  attend(call, team_of(2), used_workspace());
  for (Pos i = 0; i < 100; ++i) {
    EXPECT_TRUE(std::ranges::equal(alone.o(i, 0), watched.o(i, 0)));
    EXPECT_EQ(alone.lse(i, 0), watched.lse(i, 0));
  }
}

}  // namespace
}  // namespace saccade
