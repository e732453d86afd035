#include "saccade/see/block_sums.h"

#include "tests/laws/see_statistics.h"

namespace saccade::testing {
namespace {

void check_blocks(Pos n, Pos text_len) {
  const auto make = [=] {
    see::BlockSums probe;
    probe.n = n, probe.text_len = text_len;
    return probe;
  };
  check_see_law(make, dense_block_sums(n, text_len), [](const see::BlockSums& probe, const Problem& problem) {
    return blocks_by_head(problem.c.n_heads, [&](int head) { return probe.sums(head); });
  });
  check_see_law(make, dense_block_maxima(n, text_len), [](const see::BlockSums& probe, const Problem& problem) {
    return blocks_by_head(problem.c.n_heads, [&](int head) { return probe.largest(head); });
  });
}

TEST(BlockSums, of_wide_blocks_equal_the_dense_statistic) { check_blocks(3, 331); }
TEST(BlockSums, of_narrow_blocks_equal_the_dense_statistic) { check_blocks(128, 260); }
TEST(BlockSums, of_more_blocks_than_tokens_equal_the_dense_statistic) { check_blocks(200, 129); }

TEST(BlockSums, positions_of_blocks_cover_the_text_once) {
  for (const Pos text_len : {Pos{1}, Pos{7}, Pos{100}, Pos{1000}}) {
    see::BlockSums probe;
    probe.n = 16, probe.text_len = text_len;
    Pos next = 0;
    for (Pos i = 0; i < probe.n; ++i) {
      EXPECT_EQ(probe.positions(i).begin, next);
      next = probe.positions(i).end;
    }
    EXPECT_EQ(next, text_len);
  }
}

TEST(BlockSums, keep_only_the_heads_that_are_asked_for) {
  see::BlockSums probe;
  probe.n = 2, probe.text_len = 8, probe.heads = {1};
  Probe* const probes[] = {&probe};
  look_at(Problem({.q_len = 8, .kv_len = 8, .scale = 0.0F}), team_of(2), 8, probes);
  EXPECT_TRUE(probe.sums(0).empty());
  ASSERT_EQ(probe.sums(1).size(), 4U);
  // The four queries of the first block have 1, 1/2, 1/3, 1/4 a key and sums of 1; those beyond the diagonal nothing.
  EXPECT_FLOAT_EQ(static_cast<float>(probe.mean(1, 0, 0)), 4.0F / 16);
  EXPECT_EQ(probe.mean(1, 0, 1), 0.0);
  EXPECT_FLOAT_EQ(static_cast<float>(probe.mean(1, 1, 0)), (4.0F / 5 + 4.0F / 6 + 4.0F / 7 + 4.0F / 8) / 16);
}

}  // namespace
}  // namespace saccade::testing
