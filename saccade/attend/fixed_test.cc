// attend() in 16-bit fixed point, judged like every other precision: against fp64, by what a plain loop that rounds the
// same things achieves.

#include "saccade/kernel/fixed.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "saccade/attend/attend.h"
#include "saccade/where/sink.h"
#include "saccade/where/window.h"
#include "tests/support/attend_case.h"
#include "tests/support/error_line.h"

namespace saccade {
namespace {

using testing::AttendCase;
using testing::check_attend;
using testing::Output;
using testing::Problem;
using testing::Random;
using testing::team_of;
using testing::used_workspace;

AttendCase fixed_case(std::uint64_t seed) {
  Random random(seed);
  AttendCase c{.seed = seed};
  c.precision = Precision::kI16;
  c.q_type = random.pick({DType::f32, DType::f16, DType::bf16});
  c.k_type = random.pick({DType::f32, DType::f16, DType::bf16, DType::q8_0, DType::q4_0});
  c.v_type = random.pick({DType::f32, DType::f16, DType::bf16, DType::q8_0, DType::q4_0});
  c.n_kv_heads = random.between(1, 3);
  c.n_heads = c.n_kv_heads * random.between(1, 8);
  c.head_dim = 32 * random.between(1, 8);
  c.q_len = random.pick<Pos>({9, 48, 49, 130, 257});
  c.kv_len = random.pick<Pos>({128, 129, 300, 777, 1009});
  c.gain = random.pick({0.01F, 1.0F, 4.0F, 30.0F});
  c.team = static_cast<int>(random.between(1, 3));
  c.most_rows = 24;
  return c;
}

class Fixed : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!kernel::has_fixed()) GTEST_SKIP() << "this CPU has no AVX-512 VNNI";
  }
};

TEST_F(Fixed, EqualsItsDefinition) {
  for (std::uint64_t seed = 8000; seed < 8120; ++seed) check_attend(fixed_case(seed));
}

TEST_F(Fixed, EveryHeadDim) {
  for (Pos head_dim = 32; head_dim <= 576; head_dim += 8) {
    AttendCase c = fixed_case(8200 + static_cast<std::uint64_t>(head_dim));
    c.head_dim = head_dim;
    if (head_dim % 3 == 0) c.head_dim_v = 608 - head_dim;
    c.sink_scores = head_dim % 5 == 0;
    if (block_len(c.k_type) > 1) c.k_type = DType::f16;
    if (block_len(c.v_type) > 1) c.v_type = DType::f16;
    check_attend(c);
  }
}

/// Parallel rows reach the largest dot product there is; spread over all dimensions their rounding adds up, too.
TEST_F(Fixed, ParallelRowsDoNotOverflow) {
  for (const Pos head_dim : {32, 256, 576}) {
    for (const float sign : {1.0F, -1.0F}) {
      AttendCase c{.seed = 8400, .q_len = 48, .kv_len = 256, .n_heads = 1, .head_dim = head_dim, .team = 1};
      c.precision = Precision::kI16, c.q_begin = 256, c.scale = 1.0F / static_cast<float>(head_dim);
      Problem problem(c);
      std::vector<float> row(static_cast<std::size_t>(head_dim));
      for (std::size_t n = 0; n < row.size(); ++n) row[n] = 1.0F + 0.001F * static_cast<float>(n % 7);
      for (Pos i = 0; i < c.q_len; ++i) problem.q.set(i, 0, row);
      for (float& x : row) x *= sign;
      for (Pos j = 0; j < c.kv_len; ++j) problem.k.set(j, 0, row);
      problem.read_tensors();
      Output out = problem.output();
      const AttendCost cost = problem.run(out, team_of(1), used_workspace());
      EXPECT_EQ(cost.pairs_i16, cost.pairs_visited);
      const float lse = out.lse(7, 0);
      EXPECT_TRUE(judge(problem.expect(7, 0), out.o(7, 0), &lse, c.seed)) << c;
    }
  }
}

/// A score is then off by about 1, in the kernel and in its definition alike; the rows must stay averages of values.
TEST_F(Fixed, ScoresOfAHundredThousand) {
  for (std::uint64_t seed = 8450; seed < 8460; ++seed) {
    AttendCase c = fixed_case(seed);
    c.gain = 1e5F, c.q_type = DType::f32, c.sink_scores = seed % 2 == 0;
    check_attend(c);
  }
}

TEST_F(Fixed, Patterns) {
  for (std::uint64_t seed = 8500; seed < 8530; ++seed) {
    AttendCase c = fixed_case(seed);
    c.where_name = "window(200)+sink(4)";
    c.where = {unite({make_where(where::Window{200}), make_where(where::Sink{4})})};
    check_attend(c);
  }
}

/// A sink that takes most of a row, and a long flat rest whose weights are each below a step of the sink's: only the
/// 127 that share its block may be lost.
TEST_F(Fixed, ALongFlatRestBesideASink) {
  AttendCase c = fixed_case(8600);
  c.head_dim = 64, c.q_len = 64, c.kv_len = 6000, c.n_heads = 2, c.n_kv_heads = 1, c.gain = 1.0F;
  c.q_type = c.k_type = c.v_type = DType::f32;
  Problem problem(c);
  for (Pos j = 0; j < c.kv_len; ++j) {
    std::vector<float> key(64, 0.0F), value(64, j == 0 ? 0.0F : 1.0F);
    key[0] = j == 0 ? 90.0F : 0.0F;  // score 90 / 8 = 11.25: the rest has weights of 1.3e-5, and together 0.078
    problem.k.set(j, 0, key);
    problem.v.set(j, 0, value);
  }
  for (Pos i = 0; i < c.q_len; ++i) {
    std::vector<float> query(64, 0.0F);
    query[0] = 1.0F;
    for (Pos head = 0; head < 2; ++head) problem.q.set(i, head, query);
  }
  problem.read_tensors();
  Output out(c.q_len, c.n_heads, c.v_dim(), c.o_layout);
  problem.run(out, team_of(2), used_workspace());
  for (Pos i = 0; i < c.q_len; ++i) {
    const double rest = static_cast<double>(c.kv_len - c.q_len + i) * std::exp(-11.25);
    const double lost = 127 * std::exp(-11.25) / (1 + rest);
    EXPECT_NEAR(out.o(i, 0)[5], rest / (1 + rest), lost + 1.0 / 4096) << i;
  }
}

TEST_F(Fixed, RunsEverywhereAndSaysSo) {
  AttendCase c = fixed_case(8700);
  c.q_len = 64, c.kv_len = 1024, c.n_heads = 4, c.n_kv_heads = 2;
  const Problem problem(c);
  Output out(c.q_len, c.n_heads, c.v_dim(), c.o_layout);
  const AttendCost cost = problem.run(out, team_of(1), used_workspace());
  EXPECT_EQ(cost.pairs_i16, cost.pairs_visited);  // the diagonal, too
}

TEST_F(Fixed, AutoTakesItForHalvesAndNotForF32WithoutAMatrixUnit) {
  kernel::force_target("AVX3");
  for (const DType type : {DType::f32, DType::f16, DType::bf16, DType::q8_0, DType::q4_0}) {
    AttendCase c = fixed_case(8800);
    c.k_type = c.v_type = type, c.precision = Precision::kAuto, c.q_len = 64, c.kv_len = 512;
    const Problem problem(c);
    Output out(c.q_len, c.n_heads, c.v_dim(), c.o_layout);
    EXPECT_EQ(problem.run(out, team_of(1), used_workspace()).pairs_i16 > 0, type != DType::f32) << name_of(type);
  }
  kernel::force_target("");
}

TEST_F(Fixed, AKeyThatARowDoesNotSeeChangesNoBitOfIt) {
  AttendCase c = fixed_case(8900);
  c.q_len = 130, c.kv_len = 500, c.head_dim = 64, c.k_type = c.v_type = DType::f32;
  for (const float poison : {std::numeric_limits<float>::quiet_NaN(), 1e30F}) {
    Problem problem(c);
    Output before(c.q_len, c.n_heads, c.v_dim(), c.o_layout);
    problem.run(before, team_of(2), used_workspace());
    for (Pos head = 0; head < c.n_kv_heads; ++head) {
      problem.k.set(460, head, std::vector<float>(64, poison));
      problem.v.set(460, head, std::vector<float>(64, poison));
    }
    Output after(c.q_len, c.n_heads, c.v_dim(), c.o_layout);
    problem.run(after, team_of(2), used_workspace());
    for (Pos i = 0; i < c.q_len; ++i) {
      for (Pos head = 0; head < c.n_heads; ++head) {
        const bool sees = problem.sees(i, head, 460);
        if (!sees) EXPECT_TRUE(after.same_bits(before, i, head)) << i;
        // A weight below half a step was lost before and after.
        if (sees && std::isnan(poison)) EXPECT_FALSE(after.same_bits(before, i, head)) << i;
      }
    }
  }
}

TEST_F(Fixed, NaNAndInfRunF32) {
  AttendCase c = fixed_case(9000);
  c.q_len = 100, c.kv_len = 400, c.head_dim = 64, c.k_type = c.v_type = DType::f32, c.q_type = DType::f32;
  Problem problem(c);
  problem.q.set(7, 0, std::vector<float>(64, std::numeric_limits<float>::quiet_NaN()));
  std::vector<float> key = problem.k.get(20, 0);
  key[3] = -std::numeric_limits<float>::infinity();
  problem.k.set(20, 0, key);
  problem.read_tensors();
  Output out(c.q_len, c.n_heads, c.v_dim(), c.o_layout);
  problem.run(out, team_of(2), used_workspace());
  for (Pos i = 0; i < c.q_len; i += 7) {
    for (Pos head = 0; head < c.n_heads; ++head) {
      const float lse = out.lse(i, head);
      EXPECT_TRUE(judge(problem.expect(i, head), out.o(i, head), &lse, c.seed)) << i << ", head " << head;
    }
  }
}

TEST(FixedTarget, ALesserTargetHasNone) {
  testing::on_every_target([](const std::string& target) {
    if (target != "AVX3" && target != "AMX") EXPECT_FALSE(kernel::has_fixed()) << target;
    if (kernel::has_fixed()) return;
    AttendCase c = fixed_case(9100);
    const Problem problem(c);
    Output out(c.q_len, c.n_heads, c.v_dim(), c.o_layout);
    try {
      problem.run(out, team_of(1), used_workspace());
      ADD_FAILURE() << "no error on " << target;
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), "precision i16 needs a CPU with AVX-512 VNNI (target AVX3)");
    }
  });
}

}  // namespace
}  // namespace saccade
