#include "saccade/where/parts/block_mask.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <vector>

#include "saccade/where/dense.h"
#include "tests/laws/where_laws.h"
#include "tests/support/error_line.h"

namespace saccade {
namespace {

using Rule = std::function<bool(Pos query, Pos key)>;

/// The blocks of a rule, a few columns of blocks at a time, as a caller with little memory makes them.
std::shared_ptr<const PairBlocks> blocks_of(const Rule& rule, Pos q_len, Pos kv_len, Pos block) {
  auto blocks = std::make_shared<PairBlocks>(q_len, kv_len, block);
  const Pos most = 3 * block;
  std::vector<std::uint8_t> seen(static_cast<std::size_t>(block * most));
  for (Pos row = 0; row < q_len; row += block) {
    const Range rows{row, std::min(row + block, q_len)};
    for (Pos key = 0; key < kv_len; key += most) {
      const Range keys{key, std::min(key + most, kv_len)};
      for (Pos i = rows.begin; i < rows.end; ++i) {
        for (Pos j = keys.begin; j < keys.end; ++j) {
          seen[static_cast<std::size_t>((i - rows.begin) * most + j - keys.begin)] = rule(i, j) ? 1 : 0;
        }
      }
      blocks->add(rows, keys, seen.data(), most);
    }
  }
  return blocks;
}

std::vector<Rule> rules() {
  return {[](Pos, Pos) { return true; },
          [](Pos, Pos) { return false; },
          [](Pos i, Pos j) { return j <= i; },
          [](Pos i, Pos j) { return j > i; },                                 // the future only
          [](Pos i, Pos j) { return i / 100 == j / 100; },                    // documents
          [](Pos i, Pos j) { return j < 40 || (i - j < 70 && j - i < 70); },  // a prefix and a band, both ways
          [](Pos i, Pos j) { return (i * 31 + j * 17) % 13 < 2; },            // no structure at all
          [](Pos i, Pos j) { return i % 200 < 128 && j / 64 % 2 == 0; }};     // rows that see nothing
}

TEST(BlockMask, ShowsWhatTheRuleSaysAndObeysTheLawsOfWhere) {
  std::uint64_t seed = 300;
  for (const Rule& rule : rules()) {
    for (const auto& [q_len, kv_len, block] :
         {std::tuple<Pos, Pos, Pos>{1, 1, 128}, {130, 131, 32}, {257, 300, 64}, {300, 513, 128}}) {
      for (const Pos q_begin : {Pos{0}, Pos{31}, Pos{128}}) {
        const BlockMask where(blocks_of(rule, q_len, kv_len, block), q_begin);
        for (Pos i = 0; i < q_len; i += 7) {
          for (Pos j = 0; j < kv_len; ++j) ASSERT_EQ(where.admits(q_begin + i, j), rule(i, j)) << i << ' ' << j;
        }
        EXPECT_TRUE(testing::where_laws_hold(where, seed++)) << q_len << " x " << kv_len << " in " << block;
      }
    }
  }
}

TEST(BlockMask, JoinsWithOtherPatterns) {
  const auto band = [](Pos i, Pos j) { return i - j < 70 && j - i < 70; };
  const WherePtr mask = std::make_shared<BlockMask>(blocks_of(band, 300, 300, 64));
  const WherePtr causal = intersect({mask, make_where(where::Dense{})});
  EXPECT_TRUE(testing::where_laws_hold(*causal, 7));
  EXPECT_TRUE(causal->admits(80, 80));
  EXPECT_FALSE(causal->admits(80, 81));
  EXPECT_TRUE(mask->admits(80, 81));
}

TEST(BlockMask, WorkedByHand) {
  // 70 queries, 100 keys, blocks of 32; a query sees keys up to 31, and from 64 on those beyond itself.
  const auto blocks = blocks_of([](Pos i, Pos j) { return j < 32 || (j >= 64 && j > i); }, 70, 100, 32);
  EXPECT_EQ(blocks->n_full(), 3U + 3U + 2U);
  EXPECT_EQ(blocks->n_partial(), 1U);  // queries 64 to 69 before keys 64 to 95
  EXPECT_EQ(blocks->pairs(), 64 * (32 + 36) + 6 * 32 + (35 + 34 + 33 + 32 + 31 + 30));
  const BlockMask where(blocks, 1000);
  VisitList visits;
  where.visits({1000, 1032}, visits);
  EXPECT_EQ(visits, (VisitList{{{0, 32}, true}, {{64, 100}, true}}));
  where.visits({1064, 1070}, visits);
  EXPECT_EQ(visits, (VisitList{{{0, 32}, true}, {{64, 96}, false}, {{96, 100}, true}}));
  where.visits({1060, 1070}, visits);
  EXPECT_EQ(visits, (VisitList{{{0, 32}, true}, {{64, 96}, false}, {{96, 100}, true}}));
  where.visits({1060, 1075}, visits);  // some of these queries are nobody
  EXPECT_EQ(visits, (VisitList{{{0, 32}, false}, {{64, 100}, false}}));
  EXPECT_EQ(where.q_step(), 1);  // 1000 is not where a block begins
  EXPECT_EQ(BlockMask(blocks, 64).q_step(), 32);
}

TEST(BlockMask, RefusesBlocksThatAreNone) {
  for (const Pos block : {0, -32, 31, 48, 8192}) {
    EXPECT_EQ(testing::error_line([&] { PairBlocks(10, 10, block); }),
              "where/block_mask: block must be a multiple of 32, 32 to 4096, got " + std::to_string(block));
  }
}

}  // namespace
}  // namespace saccade
