#include "saccade/where/parts/lists.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "saccade/base/random.h"
#include "tests/laws/where_laws.h"

namespace saccade {
namespace {

/// Lists of random numbers below what block u may name; block 2 of every call names nothing.
Lists draw(Pos n_lists, Pos first, Pos most_per_list, Pos numbers_per_block, Random& random) {
  Lists lists;
  for (Pos i = 0; i < n_lists; ++i) {
    std::vector<std::int32_t> list;
    const Pos end = (first + i + 1) * numbers_per_block;
    for (Pos n = 0; i != 2 && n < most_per_list; ++n) {
      list.push_back(static_cast<std::int32_t>(random.between(0, end - 1)));
    }
    std::ranges::sort(list);
    list.erase(std::unique(list.begin(), list.end()), list.end());
    lists.add(list);
  }
  return lists;
}

TEST(BlockLists, ObeyTheLawsOfWhere) {
  Random random(5);
  std::uint64_t seed = 100;
  for (const Pos block_q : {1, 32, 64, 128}) {
    for (const Pos block_k : {16, 64, 128}) {
      const Pos most_q = 3000;
      Lists lists = draw(most_q / block_q, 0, 6, std::max<Pos>(1, block_q / block_k), random);
      EXPECT_TRUE(testing::where_laws_hold(BlockLists(block_q, block_k, 0, std::move(lists)), seed++))
          << block_q << " x " << block_k;
    }
  }
}

TEST(TokenLists, ObeyTheLawsOfWhere) {
  Random random(6);
  std::uint64_t seed = 200;
  for (const Pos block_q : {1, 7, 64}) {
    Lists lists = draw(3000 / block_q, 0, 40, block_q, random);
    EXPECT_TRUE(testing::where_laws_hold(TokenLists(block_q, 0, std::move(lists)), seed++)) << block_q;
  }
}

TEST(BlockLists, WorkedByHand) {
  // Blocks of 4 queries and 2 keys; queries 8 to 15 are there. Block 2 sees keys 0, 1, 8, 9, block 3 keys 2, 3, 14, 15.
  Lists lists;
  lists.add(std::vector<std::int32_t>{0, 4});
  lists.add(std::vector<std::int32_t>{1, 7});
  const BlockLists where(4, 2, 2, std::move(lists));
  VisitList visits;
  where.visits({8, 12}, visits);
  EXPECT_EQ(visits, (VisitList{{{0, 2}, true}, {{8, 9}, true}, {{9, 10}, false}}));
  where.visits({8, 16}, visits);
  EXPECT_EQ(visits, (VisitList{{{0, 4}, false}, {{8, 10}, false}, {{14, 16}, false}}));
  EXPECT_FALSE(where.admits(8, 9));
  EXPECT_TRUE(where.admits(9, 9));
  EXPECT_FALSE(where.admits(4, 0));  // nobody chose for block 1
  EXPECT_EQ(where.q_step(), 4);
}

TEST(TokenLists, WorkedByHand) {
  Lists lists;
  lists.add(std::vector<std::int32_t>{0, 5, 6});
  const TokenLists where(8, 0, std::move(lists));
  VisitList visits;
  where.visits({6, 8}, visits);
  EXPECT_EQ(visits, (VisitList{{{0, 1}, true}, {{5, 7}, true}}));
  EXPECT_FALSE(where.admits(4, 5));
  EXPECT_EQ(where.q_step(), 8);
}

}  // namespace
}  // namespace saccade
