#include "saccade/where/strided.h"

#include <gtest/gtest.h>

#include "tests/laws/where_laws.h"
#include "tests/support/error_line.h"
#include "tests/support/picture.h"

namespace saccade::where {
namespace {

TEST(Strided, Laws) {
  testing::check_where_laws<Strided>({{},
                                      {.stride = 1, .block = 500},
                                      {.stride = 2000, .block = 1},
                                      {.stride = 40, .block = 48},
                                      {.stride = 1'000'000, .block = 64},
                                      {.stride = INT64_MAX, .block = 64},
                                      {.stride = 2, .block = INT64_MAX}});
}

TEST(Strided, ByHand) {
  EXPECT_EQ(testing::picture(Strided{.stride = 3, .block = 1}, 9),
            "#........\n"
            "##.......\n"
            "###......\n"
            ".###.....\n"
            "..###....\n"
            "..####...\n"
            "..#.###..\n"
            "..#..###.\n"
            "..#..####\n");
  VisitList visits;
  Strided{.stride = 2, .block = 4}.visits({24, 28}, visits);  // block 6 sees columns 1 and 3, and its window 5, 6
  EXPECT_EQ(visits, (VisitList{{{4, 8}, true}, {{12, 16}, true}, {{20, 25}, true}, {{25, 28}, false}}));
}

TEST(Strided, FarAwayItIsOneVisit) {
  VisitList visits;
  const Strided strided{.stride = 2, .block = 4};
  strided.visits({4097 * 8 - 2, 4097 * 8 - 1}, visits);
  EXPECT_GT(visits.size(), 4000U);
  strided.visits({4097 * 8, 4097 * 8 + 4}, visits);
  EXPECT_EQ(visits, (VisitList{{{0, 4097 * 8 + 4}, false}}));
}

TEST(Strided, RefusesWhatMakesNoSense) {
  EXPECT_EQ(testing::error_line([] { make_where(Strided{.stride = 0}); }), "where/strided: stride must be >= 1, got 0");
  EXPECT_EQ(testing::error_line([] { make_where(Strided{.block = 0}); }), "where/strided: block must be >= 1, got 0");
}

}  // namespace
}  // namespace saccade::where
