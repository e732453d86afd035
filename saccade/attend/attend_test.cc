#include "saccade/attend/attend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "saccade/base/error.h"
#include "tests/support/any_case.h"

namespace saccade {
namespace {

using testing::any_case;
using testing::AttendCase;
using testing::check_attend;
using testing::on_every_target;
using testing::Output;
using testing::patterns;
using testing::Problem;
using testing::Random;
using testing::team_of;
using testing::use;
using testing::used_workspace;

TEST(Target, TheForcedOneIsTheOneRunning) {
  const std::vector<std::string> targets = kernel::supported_targets();
  ASSERT_FALSE(targets.empty());
  kernel::force_target("");
  const std::string best = kernel::chosen_target();
  EXPECT_THAT(targets, ::testing::Contains(best));
  std::string ran;
  on_every_target([&](const std::string& target) {
    EXPECT_EQ(kernel::chosen_target(), target);
    ran += " " + target;
  });
  EXPECT_EQ(kernel::chosen_target(), best) << "\"\" chooses the best again";
  std::cout << "targets:" << ran << "; chosen: " << best << "\n";
  EXPECT_THROW(kernel::force_target("6502"), Error);
  EXPECT_EQ(kernel::chosen_target(), best) << "a refused target changes nothing";
}

// Targets of different widths add in different orders, so that the same bits from all of them would mean that forcing
// does nothing.
TEST(Target, ForcingChangesTheCodeThatRuns) {
  AttendCase c = any_case(1);
  c.q_len = 48, c.kv_len = 1009, c.head_dim = 128, c.team = 1;
  use(c, patterns()[0]);
  const Problem problem(c);
  std::vector<std::unique_ptr<Output>> outs;
  on_every_target([&](const std::string&) {
    outs.push_back(std::make_unique<Output>(c.q_len, c.n_heads, c.v_dim(), c.o_layout));
    problem.run(*outs.back(), team_of(1), used_workspace());
  });
  if (outs.size() < 2) GTEST_SKIP() << "only one target here";
  bool differ = false;
  for (const auto& out : outs) differ = differ || !out->same_bits(*outs.front());
  EXPECT_TRUE(differ);
}

TEST(Attend, AnythingAtAll) {
  for (std::uint64_t seed = 1000; seed < 1150; ++seed) {
    AttendCase c = any_case(seed);
    Random random(seed);
    use(c, random.pick(patterns()));
    c.q_len = random.between(1, 140);
    c.kv_len = random.between(0, 700);
    if (random.one_in(3)) c.q_begin = random.between(0, 900);
    if (random.one_in(3)) {
      c.bias_type = random.pick({DType::f16, DType::f32});
      const Pos begin = random.between(0, c.kv_len);
      c.bias_keys = {begin, random.between(begin, c.kv_len)};
      c.slopes = random.one_in(2);
    }
    if (random.one_in(4)) c.scale = random.normal();
    check_attend(c);
  }
}

TEST(Attend, WeightsSumToOneAndIgnoreAConstant) {
  for (const Pos q_len : {1, 50}) {
    AttendCase c{.seed = 5, .q_len = q_len, .kv_len = 700, .n_heads = 2, .n_kv_heads = 1};
    c.bias_type = DType::f32, c.bias_keys = {0, 700}, c.gain = 5.0F;
    Problem problem(c);
    const std::vector<float> ones(64, 1.0F);
    for (Pos j = 0; j < c.kv_len; ++j) problem.v.set(j, 0, ones);
    problem.read_tensors();
    on_every_target([&](const std::string&) {
      Output out(q_len, 2, 64, c.o_layout);
      problem.run(out, team_of(2), used_workspace());
      for (const auto& [i, head] : testing::rows_to_judge(c)) {
        testing::Expected row = problem.expect(i, head);
        for (double& o : row.exact.o) o = row.exact.seen.empty() ? 0.0 : 1.0;
        EXPECT_TRUE(judge(row, out.o(i, head), nullptr, c.seed)) << c;
      }
    });
  }
}

TEST(Attend, RowsThatSeeNothingAreZero) {
  for (const Pos q_len : {1, 3, 60}) {
    for (const Pos q_begin : {0, 500}) {
      AttendCase c{.seed = 9, .q_len = q_len, .kv_len = 100, .n_heads = 3, .n_kv_heads = 1};
      c.q_begin = q_begin;
      use(c, {"window(3)", make_where(where::Window{3})});  // past 102 nobody sees a key
      check_attend(c);
      use(c, patterns().back());
      check_attend(c);
      c.bias_type = DType::f16, c.bias_keys = {0, 100};
      use(c, patterns()[0]);
      check_attend(c);
    }
  }
}

TEST(Attend, NoKeysAndNoQueries) {
  for (const Pos q_len : {0, 1, 50}) {
    for (const Pos kv_len : {0, 50}) check_attend({.q_len = q_len, .kv_len = kv_len, .n_heads = 4, .n_kv_heads = 2});
  }
}

}  // namespace
}  // namespace saccade
