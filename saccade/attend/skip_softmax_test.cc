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

/// A tile of one, two or three vectors against the definition. Where a decision is closer than rounding goes the seed
/// is passed over; enough are not.
TEST_F(SkipSoftmax, EqualsItsDefinition) {
  constexpr Pos kKeys = 1024;
  std::int64_t n_compared = 0, n_pairs = 0, n_skipped = 0;
  for (std::uint64_t seed = 0; seed < 90; ++seed) {
    const double share = seed % 2 == 0 ? 0.1 : 0.03;
    AttendCase c = behind(seed, std::vector<Pos>{16, 23, 48}[seed % 3], kKeys, share);
    c.head_dim = std::vector<Pos>{64, 40, 128}[seed / 3 % 3];
    const Problem problem(c);
    std::vector<std::vector<double>> scores(static_cast<std::size_t>(c.q_len)), values(kKeys);
    for (Pos j = 0; j < kKeys; ++j) values[j].assign(problem.in.v_row(j, 0), problem.in.v_row(j, 0) + c.head_dim);
    for (Pos i = 0; i < c.q_len; ++i) {
      for (Pos j = 0; j < kKeys; ++j) {
        scores[i].push_back(double{problem.in.scale} *
                            oracle::dot_of<double>(problem.in.q_row(i, 0), problem.in.k_row(j, 0), c.head_dim, 0));
      }
    }
    const oracle::SkippedRows wanted = oracle::skip_softmax(scores, values, share);
    if (wanted.gap < 8e-4) continue;  // scores are off by up to 1e-5 |q| |k| scale, 6e-4 in log2 here
    ++n_compared;
    Output out = problem.output();
    const AttendCost cost = problem.run(out, team_of(1), used_workspace());
    EXPECT_EQ(cost.pairs_skipped, wanted.n_skipped) << c;
    EXPECT_EQ(cost.pairs_visited, c.q_len * kKeys);
    n_skipped += cost.pairs_skipped, n_pairs += cost.pairs_visited;
    for (Pos i = 0; i < c.q_len; ++i) {
      EXPECT_NEAR(out.lse(i, 0), wanted.lse[i], 1e-3) << c << " row " << i;
      for (std::size_t d = 0; d < wanted.o[i].size(); ++d) {
        EXPECT_NEAR(out.o(i, 0)[d], wanted.o[i][d], 4.0 * 4 / 4096) << c << " row " << i;
      }
    }
  }
  EXPECT_GE(n_compared, 30);
  EXPECT_GT(n_skipped, n_pairs / 5);
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
