#include "saccade/where/parts/vertical_slash.h"

#include <algorithm>
#include <set>

#include "tests/laws/where_laws.h"

namespace saccade {
namespace {

using List = std::vector<std::int32_t>;

List draw(Pos n, Pos most, Random& random) {
  std::set<std::int32_t> numbers;
  for (Pos i = 0; i < n; ++i) numbers.insert(static_cast<std::int32_t>(random.between(0, most - 1)));
  return {numbers.begin(), numbers.end()};
}

TEST(VerticalSlash, ObeysTheLawsOfWhere) {
  Random random(8);
  std::uint64_t seed = 300;
  for (const Pos n : {0, 1, 5, 60}) {
    for (const Pos most : {60, 1000, 3000}) {
      const VerticalSlash where(draw(n, most, random), draw(n / 2 + 1, most, random));
      EXPECT_TRUE(testing::where_laws_hold(where, seed++)) << n << " below " << most;
    }
  }
  EXPECT_TRUE(testing::where_laws_hold(VerticalSlash(List{}, List{}), seed));
}

/// What the card says, one pair at a time: columns, and 64 keys for each diagonal and block of 64 queries.
std::vector<bool> drawn_by_definition(Pos size, const List& columns, const List& diagonals) {
  std::vector<bool> map(static_cast<std::size_t>(size * size));
  const auto draw_pair = [&](Pos q, Pos k) {
    if (k >= 0 && k <= q) map[static_cast<std::size_t>(q * size + k)] = true;
  };
  for (Pos q = 0; q < size; ++q) {
    for (const std::int32_t c : columns) draw_pair(q, c);
    for (const std::int32_t s : diagonals) {
      for (Pos i = 0; i < 64; ++i) draw_pair(q, q / 64 * 64 - s + i);
    }
  }
  return map;
}

TEST(VerticalSlash, TheIndexIsTheMapOfItsDefinition) {
  Random random(21);
  for (const Pos size : {63, 64, 65, 1000}) {
    for (const Pos n : {1, 7, 40}) {
      const List columns = draw(n, size, random), diagonals = draw(n, size, random);
      const VerticalSlash where(columns, diagonals);
      const std::vector<bool> map = drawn_by_definition(size, columns, diagonals);
      VisitList visits;
      for (Pos begin = 0; begin < size; begin += 64) {
        const Pos end = std::min(begin + 64, size);
        where.visits({begin, end}, visits);
        std::vector<int> n_visits(static_cast<std::size_t>(size), 0);
        for (const Visit& visit : visits) {
          ASSERT_LE(visit.keys.end, end);
          for (Pos k = visit.keys.begin; k < visit.keys.end; ++k) ++n_visits[static_cast<std::size_t>(k)];
        }
        for (Pos k = 0; k < size; ++k) {
          bool anybody = false;
          for (Pos q = begin; q < end; ++q) {
            const bool drawn = map[static_cast<std::size_t>(q * size + k)];
            ASSERT_EQ(where.admits(q, k), drawn) << q << " " << k << " of " << size;
            anybody = anybody || drawn;
          }
          ASSERT_EQ(n_visits[static_cast<std::size_t>(k)], anybody ? 1 : 0)
              << "key " << k << ", queries from " << begin;
        }
      }
      for (Pos q = 0; q < size; ++q) {  // and each exact diagonal is in it
        for (const std::int32_t s : diagonals) EXPECT_TRUE(q < s || where.admits(q, q - s));
      }
    }
  }
}

TEST(VerticalSlash, WorkedByHand) {
  // Columns 2 and 100; diagonals 0 and 70. Queries 128 to 191 see [58, 122) and [128, 192) by diagonals; of the columns
  // 100 is among them, 2 is not.
  const VerticalSlash where(List{2, 100}, List{0, 70});
  VisitList visits;
  where.visits({128, 192}, visits);
  EXPECT_EQ(visits, (VisitList{{{2, 3}, true}, {{58, 122}, true}, {{128, 129}, true}, {{129, 192}, false}}));
  EXPECT_FALSE(where.admits(150, 57));
  EXPECT_TRUE(where.admits(150, 150 - 70));
  EXPECT_FALSE(where.admits(150, 151));
}

}  // namespace
}  // namespace saccade
