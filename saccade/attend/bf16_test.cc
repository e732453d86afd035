// attend() in bf16, on the matrix unit where there is one and emulated where there is AVX-512, judged like every other
// precision: against fp64, by what a plain loop that rounds the same things achieves.

#include "saccade/kernel/bf16.h"

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

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

AttendCase bf16_case(std::uint64_t seed) {
  Random random(seed);
  AttendCase c{.seed = seed};
  c.precision = Precision::kBf16;
  c.q_type = random.pick({DType::f32, DType::f16, DType::bf16});
  c.k_type = random.pick({DType::f32, DType::f16, DType::bf16, DType::q8_0, DType::q4_0});
  c.v_type = random.pick({DType::f32, DType::f16, DType::bf16, DType::q8_0, DType::q4_0});
  c.n_kv_heads = random.between(1, 3);
  c.n_heads = c.n_kv_heads * random.between(1, 8);
  c.head_dim = 32 * random.between(1, 8);
  if (random.one_in(3)) c.head_dim_v = 32 * random.between(1, 8);
  c.q_len = random.pick<Pos>({1, 9, 48, 49, 130, 257});
  c.kv_len = random.pick<Pos>({7, 128, 129, 300, 777, 1009});
  c.gain = random.pick({0.01F, 1.0F, 4.0F, 30.0F});
  if (random.one_in(4)) c.softcap = random.pick({5.0F, 50.0F});
  if (random.one_in(4)) c.scale = random.pick({-0.1F, 0.0F, 0.3F});
  if (random.one_in(3)) {
    c.bias_type = random.pick({DType::f32, DType::f16});
    c.bias_keys = {random.between(0, c.kv_len), c.kv_len};
    c.slopes = random.one_in(2);
  }
  c.sink_scores = random.one_in(3);
  c.team = static_cast<int>(random.between(1, 3));
  c.most_rows = 24;
  return c;
}

class Bf16Attend : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!kernel::has_bf16()) GTEST_SKIP() << "this CPU has no AVX-512";
  }
};

TEST_F(Bf16Attend, EqualsItsDefinition) {
  for (std::uint64_t seed = 12000; seed < 12150; ++seed) check_attend(bf16_case(seed));
}

TEST_F(Bf16Attend, EveryHeadDim) {
  for (Pos head_dim = 32; head_dim <= 576; head_dim += head_dim < 256 ? 8 : 64) {
    AttendCase c = bf16_case(12200 + static_cast<std::uint64_t>(head_dim));
    c.head_dim = head_dim, c.head_dim_v = 0;
    c.q_len = 60, c.kv_len = 200;
    c.k_type = c.v_type = DType::f16;
    check_attend(c);
    c.head_dim_v = head_dim == 576 ? 512 : 40;
    check_attend(c);
  }
}

TEST_F(Bf16Attend, Patterns) {
  for (std::uint64_t seed = 12800; seed < 12830; ++seed) {
    AttendCase c = bf16_case(seed);
    c.where_name = "window(200)+sink(4)";
    c.where = {unite({make_where(where::Window{200}), make_where(where::Sink{4})})};
    check_attend(c);
  }
}

/// Root mean squares over whole outputs, where a bias would add up: as good as a plain loop, by the rule's factor.
TEST_F(Bf16Attend, ErrsNoMoreOnTheWholeThanAPlainLoop) {
  AttendCase c = bf16_case(12900);
  c.head_dim = 64, c.head_dim_v = 0, c.q_len = 40, c.kv_len = 900, c.n_heads = 4, c.n_kv_heads = 2, c.gain = 1.0F;
  c.softcap = 0.0F, c.scale.reset(), c.bias_type.reset(), c.slopes = c.sink_scores = false;
  const Problem problem(c);
  Output out = problem.output();
  problem.run(out, team_of(2), used_workspace());
  const auto visible = [&](Pos i, Pos j) { return problem.where(0).admits(i, j); };
  const auto same = [](auto score) { return score; };
  double ours = 0, plains = 0;
  for (Pos i = 0; i < c.q_len; ++i) {
    for (Pos head = 0; head < c.n_heads; ++head) {
      const auto exact = oracle::attend_row<double>(problem.in, i, head, visible, same);
      const auto plain = oracle::attend_row_bf16(problem.in, i, head, visible, same, problem.centres());
      for (std::size_t n = 0; n < exact.o.size(); ++n) {
        ours += std::pow(out.o(i, head)[n] - exact.o[n], 2);
        plains += std::pow(plain.o[n] - exact.o[n], 2);
      }
    }
  }
  EXPECT_LE(std::sqrt(ours), 2 * std::sqrt(plains));
}

/// Real keys share offsets far beyond their spread. Rounded as they are they would lose what tells them apart.
TEST_F(Bf16Attend, KeysFarFromZeroKeepTheirBits) {
  AttendCase c = bf16_case(13000);
  c.head_dim = 64, c.head_dim_v = 0, c.q_len = 60, c.kv_len = 500, c.n_heads = 4, c.n_kv_heads = 2, c.gain = 1.0F;
  c.softcap = 0.0F, c.scale.reset(), c.bias_type.reset(), c.slopes = c.sink_scores = false;
  c.q_type = c.k_type = c.v_type = DType::f32;
  Problem problem(c);
  Random random(1);
  for (Pos head = 0; head < c.n_kv_heads; ++head) {
    std::vector<float> offset(64);
    for (float& x : offset) x = 150.0F * random.normal();
    for (Pos j = 0; j < c.kv_len; ++j) {
      std::vector<float> key = problem.k.get(j, head);
      for (std::size_t n = 0; n < key.size(); ++n) key[n] += offset[n];
      problem.k.set(j, head, key);
    }
  }
  problem.read_tensors();
  Output out = problem.output();
  problem.run(out, team_of(2), used_workspace());
  const auto same = [](auto score) { return score; };
  for (Pos i = 0; i < c.q_len; i += 5) {
    for (Pos head = 0; head < c.n_heads; ++head) {
      testing::Expected row = problem.expect(i, head);
      const float lse = out.lse(i, head);
      EXPECT_TRUE(judge(row, out.o(i, head), &lse, c.seed));
      const auto visible = [&](Pos q_pos, Pos k_pos) { return problem.where(head).admits(q_pos, k_pos); };
      testing::Expected without = row;
      without.plain_error_o = 0;
      without.compare_with(oracle::attend_row_bf16(problem.in, i, head, visible, same));
      EXPECT_LT(row.plain_error_o, without.plain_error_o) << "the centre is of no use";
    }
  }
}

TEST_F(Bf16Attend, RunsAllPairsOfManyRowsAndSaysSo) {
  AttendCase c = bf16_case(13100);
  c.q_len = 64, c.kv_len = 1000, c.n_heads = 4, c.n_kv_heads = 2;
  const Problem problem(c);
  Output out = problem.output();
  const AttendCost cost = problem.run(out, team_of(1), used_workspace());
  EXPECT_EQ(cost.pairs_bf16, cost.pairs_visited);
  EXPECT_EQ(cost.pairs_i16, 0);
}

TEST_F(Bf16Attend, AutoTakesItOnAMatrixUnitForHalvesAndNotForF32) {
  testing::on_every_target([](const std::string& target) {
    for (const DType type : {DType::f32, DType::f16, DType::bf16, DType::q8_0, DType::q4_0}) {
      AttendCase c = bf16_case(13200);
      c.k_type = c.v_type = type, c.precision = Precision::kAuto, c.q_len = 64, c.kv_len = 512;
      const Problem problem(c);
      Output out = problem.output();
      const bool bf16 = problem.run(out, team_of(1), used_workspace()).pairs_bf16 > 0;
      EXPECT_EQ(bf16, target == "AMX" && type != DType::f32) << name_of(type);
    }
  });
}

TEST_F(Bf16Attend, TheMatrixUnitAndItsEmulationGiveTheSameBits) {
  for (std::uint64_t seed = 13300; seed < 13310; ++seed) {
    const Problem problem(bf16_case(seed));
    Output best = problem.output(), emulated = problem.output();
    problem.run(best, team_of(2), used_workspace());
    kernel::force_target("AVX3");
    problem.run(emulated, team_of(2), used_workspace());
    kernel::force_target("");
    EXPECT_TRUE(best.same_bits(emulated)) << "seed " << seed;
  }
}

TEST_F(Bf16Attend, NaNAndInfStayWithTheRowsThatLook) {
  AttendCase c = bf16_case(13400);
  c.q_len = 100, c.kv_len = 400, c.head_dim = 64, c.head_dim_v = 0, c.k_type = c.v_type = DType::f32;
  c.q_type = DType::f32, c.softcap = 0.0F, c.scale.reset(), c.bias_type.reset(), c.slopes = false;
  Problem problem(c);
  problem.q.set(7, 0, std::vector<float>(64, kNan));
  std::vector<float> key = problem.k.get(20, 0);
  key[3] = -std::numeric_limits<float>::infinity();
  problem.k.set(20, 0, key);
  for (const Pos late : {330, 360}) {  // in the ragged edge: half of the queries see it
    problem.k.set(late, 0, std::vector<float>(64, kNan));
    problem.v.set(late, 0, std::vector<float>(64, kNan));
  }
  problem.read_tensors();
  Output out = problem.output();
  problem.run(out, team_of(2), used_workspace());
  for (Pos i = 0; i < c.q_len; i += 3) {
    for (Pos head = 0; head < c.n_heads; ++head) {
      const float lse = out.lse(i, head);
      EXPECT_TRUE(judge(problem.expect(i, head), out.o(i, head), &lse, c.seed)) << i << ", head " << head;
    }
  }
}

/// It may move how the others round, but not out of tolerance.
TEST_F(Bf16Attend, AWildKeyThatARowDoesNotSeeIsHarmless) {
  AttendCase c = bf16_case(13500);
  c.q_len = 130, c.kv_len = 500, c.head_dim = 64, c.head_dim_v = 0, c.k_type = c.v_type = DType::f32;
  c.softcap = 0.0F, c.bias_type.reset(), c.slopes = false;
  for (const float wild : {1e30F, -3e38F, kNan}) {
    Problem problem(c);
    for (Pos head = 0; head < c.n_kv_heads; ++head) {
      problem.k.set(460, head, std::vector<float>(64, wild));
      problem.v.set(460, head, std::vector<float>(64, wild));
    }
    problem.read_tensors();
    Output out = problem.output();
    problem.run(out, team_of(2), used_workspace());
    for (Pos i = 0; problem.in.q_begin + i < 460; i += 7) {
      for (Pos head = 0; head < c.n_heads; ++head) {
        const float lse = out.lse(i, head);
        ASSERT_TRUE(judge(problem.expect(i, head), out.o(i, head), &lse, c.seed)) << i << ", head " << head;
      }
    }
  }
}

TEST_F(Bf16Attend, ARepeatedCallGivesTheSameBits) {
  AttendCase c = bf16_case(13600);
  c.q_len = 257, c.kv_len = 1009, c.team = 3;
  const Problem problem(c);
  Output first = problem.output(), second = problem.output();
  problem.run(first, team_of(3), used_workspace());
  problem.run(second, team_of(3), used_workspace());
  EXPECT_TRUE(first.same_bits(second));
}

TEST(Bf16Target, ALesserTargetHasNone) {
  testing::on_every_target([](const std::string& target) {
    EXPECT_EQ(kernel::has_bf16(), target == "AMX" || target == "AVX3") << target;
    if (kernel::has_bf16()) return;
    const Problem problem(bf16_case(13700));
    Output out = problem.output();
    EXPECT_EQ(testing::error_line([&] { problem.run(out, team_of(1), used_workspace()); }),
              "the machine's: precision bf16 needs a CPU with AMX, or with AVX-512 (target AVX3) to emulate it");
  });
}

}  // namespace
}  // namespace saccade
