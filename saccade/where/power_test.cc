#include "saccade/where/power.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <vector>

#include "tests/laws/where_laws.h"
#include "tests/support/error_line.h"
#include "tests/support/picture.h"

namespace saccade::where {
namespace {

TEST(Power, Laws) {
  testing::check_where_laws<Power>({{},
                                    {.block = 1, .window = 0, .n_sink = 0},
                                    {.block = 3, .window = 3, .n_sink = 2},
                                    {.block = 16, .window = 1, .n_sink = 1},
                                    {.block = 48, .window = 2, .n_sink = 0},
                                    {.block = 256, .window = INT64_MAX, .n_sink = 0},
                                    {.block = INT64_MAX, .window = 1, .n_sink = INT64_MAX}});
}

TEST(Power, BlockListOfTheCard) {
  std::vector<Pos> list;
  for (Pos t = 0; t < 12; ++t) {
    if (Power{.block = 1, .window = 1, .n_sink = 1}.admits(9, t)) list.push_back(t);
  }
  EXPECT_EQ(list, (std::vector<Pos>{0, 1, 5, 7, 8, 9}));
}

TEST(Power, ByHand) {
  EXPECT_EQ(testing::picture(Power{.block = 2, .window = 0, .n_sink = 0}, 10),
            "#.........\n"
            "##........\n"
            "###.......\n"
            "####......\n"
            "#####.....\n"
            "######....\n"
            "..#####...\n"
            "..######..\n"
            "##..#####.\n"
            "##..######\n");
  VisitList visits;
  Power{.block = 2, .window = 0, .n_sink = 0}.visits({8, 10}, visits);
  EXPECT_EQ(visits, (VisitList{{{0, 2}, true}, {{4, 9}, true}, {{9, 10}, false}}));
  Power{.block = 2, .window = 0, .n_sink = 0}.visits({6, 10}, visits);  // blocks 3 and 4: both see block 2, and 3
  EXPECT_EQ(visits, (VisitList{{{0, 4}, false}, {{4, 7}, true}, {{7, 10}, false}}));
}

/// After d layers: every block nearer than 2^d, and the one at distance 2^d - 1 not before.
TEST(Power, HearsOfEveryBlockNearerThanTwoToTheLayers) {
  const Power power{.block = 1, .window = 1, .n_sink = 0};
  constexpr Pos kBlocks = 64;
  std::vector<std::uint64_t> heard(kBlocks);
  for (Pos u = 0; u < kBlocks; ++u) heard[static_cast<std::size_t>(u)] = std::uint64_t{1} << u;
  for (int layers = 1; layers <= 6; ++layers) {
    std::vector<std::uint64_t> next(kBlocks);
    for (Pos u = 0; u < kBlocks; ++u) {
      for (Pos t = 0; t <= u; ++t) {
        if (power.admits(u, t)) next[static_cast<std::size_t>(u)] |= heard[static_cast<std::size_t>(t)];
      }
    }
    heard = next;
    const std::uint64_t last = heard[kBlocks - 1];
    const Pos reach = Pos{1} << layers;
    for (Pos distance = 0; distance < reach; ++distance) EXPECT_TRUE(last >> (kBlocks - 1 - distance) & 1U) << distance;
    if (2 * reach <= kBlocks) EXPECT_FALSE(last >> (kBlocks - 2 * reach) & 1U) << layers;
  }
}

TEST(Power, AWindowOfAllBlocksIsDense) {
  const Power power{.block = 4, .window = 8, .n_sink = 0};
  for (Pos q_pos = 0; q_pos < 32; ++q_pos) {
    for (Pos k_pos = 0; k_pos < 32; ++k_pos) EXPECT_EQ(power.admits(q_pos, k_pos), k_pos <= q_pos);
  }
}

TEST(Power, RefusesWhatMakesNoSense) {
  EXPECT_EQ(testing::error_line([] { make_where(Power{.block = 0}); }), "where/power: block must be >= 1, got 0");
  EXPECT_EQ(testing::error_line([] { make_where(Power{.window = -1}); }), "where/power: window must be >= 0, got -1");
  EXPECT_EQ(testing::error_line([] { make_where(Power{.n_sink = -2}); }), "where/power: n_sink must be >= 0, got -2");
}

}  // namespace
}  // namespace saccade::where
