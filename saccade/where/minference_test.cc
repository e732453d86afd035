#include "saccade/where/minference.h"

#include <algorithm>

#include "saccade/where/parts/last_rows.h"
#include "tests/laws/selector_laws.h"
#include "tests/support/error_line.h"

namespace saccade {
namespace {

using testing::SelectCase;
using testing::SelectProblem;
using where::Minference;

TEST(Minference, ObeysTheLawsOfSelectors) {
  testing::check_selector_laws<Minference>(
      {{.vertical_size = 0, .slash_size = 0},
       {.vertical_size = 40, .slash_size = 120},
       {.pattern = "a_shape", .n_sink = 5, .window = 70},
       {.pattern = "block_sparse", .n_blocks = 2}},
      {.vertical_size = 100'000},
      {{.vertical_size = 128, .slash_size = 0}, {.pattern = "block_sparse", .n_blocks = 3}});
}

TEST(Minference, ASizeAsLongAsTheTextIsEverything) {
  const SelectProblem problem({.q_begin = 100, .q_len = 333, .n_heads = 2});
  Alone alone;
  const SelectCall call = problem.call(alone);
  for (const Minference& all : std::vector<Minference>{
           {.slash_size = 433}, {.pattern = "a_shape", .window = 433}, {.pattern = "block_sparse", .n_blocks = 7}}) {
    for (const WherePtr& where : choose(*make_choice(all), call).of_head) {
      EXPECT_TRUE(testing::detail::same(*where, *make_where(where::Dense{}), call));
    }
  }
}

TEST(Minference, FirstColumnsAndNearestDiagonalsAreAlwaysThere) {
  const SelectProblem problem({.q_begin = 900, .q_len = 300, .n_heads = 1, .gain = 5.0F});
  Alone alone;
  const Selection chosen = choose(*make_choice(Minference{.vertical_size = 0, .slash_size = 0}), problem.call(alone));
  for (const Pos q_pos : {900, 1000, 1199}) {
    for (Pos k_pos = 0; k_pos < 30; ++k_pos) EXPECT_TRUE(chosen.of_head[0]->admits(q_pos, k_pos));
    for (Pos distance = 0; distance < 50; ++distance) EXPECT_TRUE(chosen.of_head[0]->admits(q_pos, q_pos - distance));
  }
}

TEST(Minference, WorkedByHand) {
  // 512 keys, all queries alike, and key 300 lies their way: it takes nearly all weight of the last 64 rows. Of 31
  // columns 30 are the first ones, so the last is 300; its distances from rows 448 to 511 are 148 to 211, of which the
  // 114 - 50 = 64 that no force has taken are just these.
  SelectProblem problem({.q_begin = 256, .q_len = 256, .n_heads = 1});
  problem.plant_needle(300, 60.0F);
  Alone alone;
  const SelectCall call = problem.call(alone);
  const LastRows rows = look_at_last_rows(call, 0, 64);
  EXPECT_GT(rows.column[300], 63.0F);
  const Selection chosen = choose(*make_choice(Minference{.vertical_size = 31, .slash_size = 164}), call);
  const Where& where = *chosen.of_head[0];
  EXPECT_TRUE(where.admits(300, 300));
  EXPECT_TRUE(where.admits(511, 300));
  EXPECT_TRUE(where.admits(511, 511 - 148));
  EXPECT_FALSE(where.admits(511, 448 - 211 - 1));  // the first key of the farthest diagonal's block, less one
  EXPECT_TRUE(where.admits(511, 448 - 211));
  EXPECT_FALSE(where.admits(400, 30));
}

TEST(Minference, BlockSparseTakesTheBlocksWithTheLargestProductOfMeans) {
  SelectProblem problem({.q_begin = 384, .q_len = 64, .n_heads = 1});
  const auto axis = [](float size) {
    std::vector<float> row(32, 0.0F);
    row[0] = size;
    return row;
  };
  for (Pos i = 0; i < 64; ++i) problem.q.set(i, 0, axis(1.0F));
  for (Pos j = 0; j < 448; ++j) problem.k.set(j, 0, axis(static_cast<float>((j / 64 * 3) % 7)));  // 0 3 6 2 5 1 4
  Alone alone;
  const Selection chosen =
      choose(*make_choice(Minference{.pattern = "block_sparse", .n_blocks = 3}), problem.call(alone));
  for (Pos block = 0; block < 7; ++block) {
    const bool wanted = block == 2 || block == 4 || block == 6;
    EXPECT_EQ(chosen.of_head[0]->admits(447, block * 64), wanted) << block;
  }
}

TEST(Minference, RejectsParametersThatMakeNoSense) {
  const auto line = [](const Minference& m) { return testing::error_line([&] { make_choice(m); }); };
  EXPECT_EQ(line({.pattern = "slash"}),
            "where/minference: pattern must be vertical_slash, a_shape or block_sparse, got slash");
  EXPECT_EQ(line({.vertical_size = -1}), "where/minference: vertical_size must be >= 0, got -1");
  EXPECT_EQ(line({.slash_size = -2}), "where/minference: slash_size must be >= 0, got -2");
  EXPECT_EQ(line({.n_sink = -3}), "where/minference: n_sink must be >= 0, got -3");
  EXPECT_EQ(line({.window = 0}), "where/minference: window must be >= 1, got 0");
  EXPECT_EQ(line({.n_blocks = 0}), "where/minference: n_blocks must be >= 1, got 0");
}

}  // namespace
}  // namespace saccade
