#include "saccade/attend/look.h"

#include <bit>
#include <cstdint>
#include <limits>
#include <vector>

#include "saccade/kernel/bf16.h"
#include "saccade/kernel/targets.h"
#include "saccade/see/class_masses.h"
#include "saccade/see/column_sums.h"
#include "saccade/see/entropy.h"
#include "saccade/see/rows.h"
#include "tests/laws/see_statistics.h"

// The laws of look() stand beside the probes, saccade/see/*_test.cc; here are its door and its corners.
namespace saccade::testing {
namespace {

TEST(Look, wants_the_lse_that_attention_saved) {
  const Problem problem({.q_len = 3, .kv_len = 3});
  Output out = problem.output();
  std::vector<const Where*> where;
  const AttendCall call = problem.call(out, where);
  EXPECT_EQ(error_line([&] { look(call, nullptr, {}, team_of(1), used_workspace()); }),
            "attend/look: lse must be what attend saved, got none");
}

TEST(Look, of_no_keys_shows_nothing) {
  see::Entropy entropy;
  see::ColumnSums columns;
  Probe* const probes[] = {&entropy, &columns};
  look_at(Problem({.q_len = 4, .kv_len = 0, .q_begin = 0}), team_of(2), 4, probes);
  EXPECT_EQ(columns.sums().kv_len(), 0);
  for (const float value : entropy.values().head(0)) EXPECT_EQ(value, 0.0F);
}

/// What probes keep of a look at the case by the team, bit for bit.
std::vector<std::uint32_t> bits_kept(const Problem& problem, int team = 2) {
  see::Entropy entropy;
  see::ColumnSums columns;
  see::Rows rows;
  for (Pos q = 0; q < problem.c.kv_len; q += 7) rows.queries.push_back(q);
  Probe* const probes[] = {&entropy, &columns, &rows};
  look_at(problem, team_of(team), problem.c.q_len, probes);
  std::vector<std::uint32_t> bits;
  for (const Groups<float>& groups :
       {groups_of(entropy.values()), groups_of(columns.sums()), rows_by_head(rows, problem.in)}) {
    for (const auto& group : groups) {
      for (const float value : group.values) bits.push_back(std::bit_cast<std::uint32_t>(value));
    }
  }
  return bits;
}

/// NaN in keys that nobody sees changes no bit of what the probes keep.
TEST(Look, does_not_read_what_is_hidden) {
  for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
    if (precision == Precision::kBf16 && !kernel::has_bf16()) continue;
    const Problem clean({.seed = 9,
                         .q_len = 70,
                         .kv_len = 200,
                         .where_name = "window(20)",
                         .where = {make_where(where::Window{20})},
                         .precision = precision});
    Problem poisoned(clean.c);
    const std::vector<float> nan(static_cast<std::size_t>(clean.c.head_dim), std::numeric_limits<float>::quiet_NaN());
    for (Pos j = 0; j < 200 - 70 - 20; ++j) poisoned.k.set(j, 0, nan);
    EXPECT_EQ(bits_kept(clean), bits_kept(poisoned)) << name_of(precision);
  }
}

class LookInBf16 : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!kernel::has_bf16()) GTEST_SKIP() << "this CPU has no AVX-512";
  }

  static AttendCase any_bf16(std::uint64_t seed) {
    Random random(seed);
    AttendCase c{.seed = seed, .precision = Precision::kBf16};
    c.k_type = random.pick({DType::f32, DType::f16, DType::bf16, DType::q8_0});
    c.n_kv_heads = random.between(1, 2);
    c.n_heads = c.n_kv_heads * random.between(1, 3);
    c.head_dim = 32 * random.between(1, 5);
    c.q_len = random.pick<Pos>({20, 64, 97, 300});
    c.kv_len = random.pick<Pos>({128, 333, 601});
    c.gain = random.pick({1.0F, 4.0F});
    if (random.one_in(4)) c.softcap = 20.0F;
    if (random.one_in(4)) c.scale = random.pick({-0.1F, 0.0F});
    return c;
  }
};

TEST_F(LookInBf16, the_matrix_unit_and_its_emulation_give_the_same_bits) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    const Problem problem(any_bf16(seed));
    const std::vector<std::uint32_t> best = bits_kept(problem);
    kernel::force_target("AVX3");
    const std::vector<std::uint32_t> emulated = bits_kept(problem);
    kernel::force_target("");
    EXPECT_EQ(best, emulated) << problem.c;
  }
}

/// Weights come from the scores that attention weighed: a row's sum is off by no more than the rounding of weights in
/// its lse, 0.2 % on average, whatever scores lose in bf16.
TEST_F(LookInBf16, weights_of_a_row_sum_to_one) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    const Problem problem(any_bf16(seed));
    see::ClassMasses masses;
    masses.spans = {{"all", {0, problem.c.kv_len}}};
    Probe* const probes[] = {&masses};
    look_at(problem, team_of(2), problem.c.q_len, probes);
    for (int head = 0; head < problem.c.n_heads; ++head) {
      for (const float sum : masses.values().head(head)) EXPECT_NEAR(sum, 1.0, 1.0 / 256) << problem.c;
    }
  }
}

/// Real keys share offsets far beyond their spread; rounded as they are they would lose what tells them apart.
TEST_F(LookInBf16, keys_far_from_zero_keep_their_bits) {
  Problem problem({.seed = 3, .q_len = 60, .kv_len = 300, .precision = Precision::kBf16});
  Random random(1);
  std::vector<float> offset(64);
  for (float& x : offset) x = 150.0F * random.normal();
  for (Pos j = 0; j < problem.c.kv_len; ++j) {
    std::vector<float> key = problem.k.get(j, 0);
    for (std::size_t n = 0; n < key.size(); ++n) key[n] += offset[n];
    problem.k.set(j, 0, key);
  }
  problem.read_tensors();
  const auto visible = [](Pos, Pos q, Pos k) { return k <= q; };
  see::Rows rows;
  for (Pos q = 0; q < 300; q += 3) rows.queries.push_back(q);
  Probe* const probes[] = {&rows};
  look_at(problem, team_of(2), 60, probes);
  const auto plain = [&](Pos order) {
    return order == 0 ? rounded_map(problem.in, visible, 0.0F, Precision::kBf16, problem.centres())
                      : dense_map<float>(problem.in, visible, 0.0F, order - 1);
  };
  EXPECT_TRUE(judge_statistic(rows_by_head(rows, problem.in), dense_map<double>(problem.in, visible, 0.0F), plain,
                              dense_rows(), eps_of(Precision::kBf16)));
}

/// NaN and inf stay with the rows that look at them; the others may round otherwise, not out of tolerance.
TEST_F(LookInBf16, numbers_that_are_none_stay_with_the_rows_that_look) {
  Problem problem({.seed = 4, .q_len = 100, .kv_len = 400, .precision = Precision::kBf16});
  problem.q.set(7, 0, std::vector<float>(64, std::numeric_limits<float>::quiet_NaN()));
  for (const Pos late : {330, 360})
    problem.k.set(late, 0, std::vector<float>(64, std::numeric_limits<float>::infinity()));
  problem.read_tensors();
  see::ClassMasses masses;
  masses.spans = {{"all", {0, 400}}};
  Probe* const probes[] = {&masses};
  look_at(problem, team_of(2), 100, probes);
  for (int head = 0; head < 2; ++head) {
    for (Pos i = 0; i < 100; ++i) {
      const float sum = *masses.values().row(head, problem.in.q_begin + i);
      const bool wild = problem.in.q_begin + i >= 330 || (head == 0 && i == 7);
      EXPECT_EQ(std::isnan(sum), wild) << i;
      if (!wild) EXPECT_NEAR(sum, 1.0, 1.0 / 256) << i;
    }
  }
}

/// Few rows attend in f32 whatever the call says, and the second look is as exact as they are.
TEST_F(LookInBf16, few_rows_are_looked_at_in_f32) {
  AttendCase c{.seed = 5, .q_len = 4, .kv_len = 500, .n_heads = 4, .n_kv_heads = 2};
  const std::vector<std::uint32_t> in_f32 = bits_kept(Problem(c));
  c.precision = Precision::kBf16;
  EXPECT_EQ(bits_kept(Problem(c)), in_f32);
  c.q_len = 5;
  const std::vector<std::uint32_t> in_bf16 = bits_kept(Problem(c));
  c.precision = Precision::kF32;
  EXPECT_NE(bits_kept(Problem(c)), in_bf16);
}

}  // namespace
}  // namespace saccade::testing
