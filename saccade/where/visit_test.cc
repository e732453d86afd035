#include "saccade/where/visit.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/random.h"

namespace saccade {
namespace {

constexpr Pos kLen = 24;

/// A list as one letter per key: '#' full, '+' partial, '.' not visited.
std::string drawn(const VisitList& list) {
  std::string text(kLen, '.');
  for (const Visit& visit : list) {
    for (Pos key = visit.keys.begin; key < visit.keys.end; ++key)
      text[static_cast<std::size_t>(key)] = visit.full ? '#' : '+';
  }
  return text;
}

/// The reverse, gluing equal neighbours: the only list that is drawn like this.
VisitList listed(const std::string& text) {
  VisitList list;
  for (Pos key = 0; key < static_cast<Pos>(text.size()); ++key) {
    const char c = text[static_cast<std::size_t>(key)];
    if (c == '.') continue;
    const bool joins = !list.empty() && list.back().keys.end == key && list.back().full == (c == '#');
    if (!joins) list.push_back({{key, key}, c == '#'});
    ++list.back().keys.end;
  }
  return list;
}

TEST(Visits, UniteByHand) {
  EXPECT_EQ(unite(listed("##++.."), listed("..##.+")), listed("####.+"));
  EXPECT_EQ(unite({}, listed("..+#")), listed("..+#"));
  EXPECT_EQ(unite({}, {}), VisitList{});
}

TEST(Visits, IntersectByHand) {
  EXPECT_EQ(intersect(listed("####++"), listed(".##++.")), listed(".##++."));
  EXPECT_EQ(intersect(listed("##...."), listed("..####")), VisitList{});
  EXPECT_EQ(intersect(listed("####"), {}), VisitList{});
}

TEST(Visits, JoinsAgreeWithJoiningKeyByKey) {
  for (std::uint64_t seed = 0; seed < 5000; ++seed) {
    testing::Random random(seed);
    std::string a(kLen, '.'), b(kLen, '.');
    for (std::string* text : {&a, &b}) {
      for (std::size_t key = 0; key < text->size(); ++key) {
        (*text)[key] = key > 0 && !random.one_in(3) ? (*text)[key - 1] : random.pick({'.', '+', '#'});
      }
    }
    std::string united(kLen, '.'), both(kLen, '.');
    for (std::size_t key = 0; key < united.size(); ++key) {
      if (a[key] != '.' || b[key] != '.') united[key] = a[key] == '#' || b[key] == '#' ? '#' : '+';
      if (a[key] != '.' && b[key] != '.') both[key] = a[key] == '#' && b[key] == '#' ? '#' : '+';
    }
    ASSERT_EQ(drawn(unite(listed(a), listed(b))), united) << a << " " << b << " seed " << seed;
    ASSERT_EQ(unite(listed(a), listed(b)), listed(united)) << a << " " << b << " seed " << seed;
    ASSERT_EQ(intersect(listed(a), listed(b)), listed(both)) << a << " " << b << " seed " << seed;
  }
}

TEST(Visits, ClipCutsBothEnds) {
  VisitList list = listed("##++##++");
  clip(list, {1, 6});
  EXPECT_EQ(list, listed(".#++##"));
  clip(list, {3, 4});
  EXPECT_EQ(list, listed("...+"));
  clip(list, {9, 12});
  EXPECT_TRUE(list.empty());
}

TEST(Visits, IntervalSplitsIntoWhatAllAndWhatSomeSee) {
  VisitList list = listed("####");
  visits_of_interval({2, 5}, {4, 8}, list);
  EXPECT_EQ(list, listed("..++#+++"));
  visits_of_interval({2, 5}, {2, 5}, list);
  EXPECT_EQ(list, listed("..###"));
  visits_of_interval({2, 4}, {6, 8}, list);
  EXPECT_EQ(list, listed("..++++++"));
  visits_of_interval({0, 0}, {0, 0}, list);
  EXPECT_TRUE(list.empty());
}

}  // namespace
}  // namespace saccade
