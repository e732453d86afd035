// What `saccade bench` stands on: a wrong result is refused before anything is timed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "apps/saccade/bench/block_list.h"
#include "apps/saccade/bench/law.h"
#include "apps/saccade/bench/ours.h"
#include "apps/saccade/bench/peers.h"
#include "apps/saccade/bench/rounds.h"
#include "apps/saccade/bench/yardstick.h"
#include "saccade/base/error.h"
#include "saccade/kernel/targets.h"
#include "saccade/where/dense.h"

namespace saccade {
namespace {

TEST(DrawBlocks, AsManyAsAskedAndTheDiagonal) {
  const Range queries{128 * 40, 128 * 44};
  for (const double density : {0.001, 0.05, 0.5, 1.0}) {
    const BlockLists blocks = app::draw_blocks(queries, density, 5);
    ASSERT_EQ(blocks.lists().size(), 4U);
    for (Pos row = 40; row < 44; ++row) {
      const auto list = blocks.list(row);
      EXPECT_EQ(static_cast<Pos>(list.size()), std::max<Pos>(1, std::lround(density * static_cast<double>(row + 1))));
      EXPECT_TRUE(std::ranges::is_sorted(list));
      EXPECT_EQ(list.back(), row);
    }
  }
}

/// A small problem and a result that is right.
class BenchLaw : public ::testing::Test {
 protected:
  int exit_code_of(std::span<const float> o) {
    try {
      law.check(o, Precision::kF32, "saccade");
      return 0;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("nothing is reported"), std::string::npos);
      return error.exit_code();
    }
  }

  app::Layers data{{.head_dim = 64, .kv_len = 300, .q_len = 40, .n_heads = 4, .n_kv_heads = 2, .n_layers = 3}, true};
  Alone team;
  WherePtr dense = make_where(where::Dense{});
  const Where* borrowed = dense.get();
  std::vector<app::SampleRow> sampled = app::sample_rows(data);
  app::Law law{data, sampled, {&borrowed, 1}, team};
  app::OurAttention ours{data, {kernel::chosen_target(), Precision::kF32, {borrowed}}, team};
};

TEST_F(BenchLaw, RightResultsPass) {
  ours.run();
  EXPECT_EQ(exit_code_of(ours.o()), 0);
  app::GgmlAttention flash(data, true), plain(data, false);
  for (app::GgmlAttention* peer : {&flash, &plain}) {
    peer->run(2);
    EXPECT_NO_THROW(law.check_peer(peer->o(), "ggml"));
  }
}

TEST_F(BenchLaw, WrongOnesAreRefused) {
  ours.run();
  const std::vector<float> right(ours.o().begin(), ours.o().end());
  std::vector<float> o = right;
  o[3] += 1e-3F * std::fabs(o[3]) + 1e-4F;  // query 0, head 0: a sampled row
  EXPECT_EQ(exit_code_of(o), 3);
  o = right;
  o[64 * 4 * 7 + 9] = std::numeric_limits<float>::quiet_NaN();  // query 7: not sampled
  EXPECT_EQ(exit_code_of(o), 3);
  o.assign(right.size(), 0.0F);
  EXPECT_EQ(exit_code_of(o), 3);
  EXPECT_THROW(law.check_peer(o, "ggml"), Error) << "the peers' rule is coarse, but sees that nothing was computed";
}

TEST(Rounds, ChecksBeforeItTimes) {
  app::Rounds rounds;
  int runs = 0;
  const int good = rounds.add([&] { ++runs; });
  rounds.measure(3, "test");
  EXPECT_EQ(runs, 4);
  EXPECT_LE(rounds.spread(good).min, rounds.spread(good).median);
  EXPECT_LE(rounds.spread(good).median, rounds.spread(good).max);
  rounds.add([] {}, [] { fail_machine("wrong"); });
  EXPECT_THROW(rounds.measure(3, "test"), Error);
  EXPECT_EQ(runs, 5);
}

TEST(Rounds, Medians) {
  EXPECT_EQ(app::spread_of({3, 1, 2}).median, 2);
  EXPECT_EQ(app::spread_of({4, 1, 2, 3}).median, 2.5);
  EXPECT_EQ(app::spread_of({5}).max, 5);
}

TEST(Yardsticks, DoTheirWork) {
  const auto team = make_thread_team(2);
  for (const std::string& target : kernel::supported_targets()) {
    EXPECT_GT(app::run_multiply_add(target, *team), 0) << target;
    if (app::has_multiply_add_i16(target)) EXPECT_GT(app::run_multiply_add_i16(target, *team), 0) << target;
    for (const bool zeros : {true, false}) {
      if (!app::TileProducts::exist(target)) continue;
      app::TileProducts tiles(target, zeros, *team);
      tiles.run();
      EXPECT_NO_THROW(tiles.check()) << target;
    }
    app::Exponential exponential(target, *team);
    exponential.run();
    EXPECT_NO_THROW(exponential.check()) << target;
  }
  kernel::force_target("");
  const std::vector<std::uint64_t> words(5000, 3);
  app::Reading reading({std::as_bytes(std::span(words)), std::as_bytes(std::span(words)).first(1000)}, 3, *team);
  EXPECT_EQ(reading.run(), 3.0 * (40000 + 1000));
  EXPECT_NO_THROW(reading.check());
}

}  // namespace
}  // namespace saccade
