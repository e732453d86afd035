#include "saccade/where/dilated.h"

#include <gtest/gtest.h>

#include "saccade/where/window.h"
#include "tests/laws/where_laws.h"
#include "tests/support/error_line.h"
#include "tests/support/picture.h"

namespace saccade::where {
namespace {

TEST(Dilated, Laws) {
  testing::check_where_laws<Dilated>({{},
                                      {.stride = 1, .window = 7, .block = 1},
                                      {.stride = 7, .window = 20, .block = 1},
                                      {.stride = 2, .window = 3, .block = 48},
                                      {.stride = INT64_MAX, .window = INT64_MAX, .block = 64},
                                      {.stride = 3, .window = INT64_MAX, .block = INT64_MAX}});
}

TEST(Dilated, ByHand) {
  EXPECT_EQ(testing::picture(Dilated{.stride = 2, .window = 3, .block = 1}, 7),
            "#......\n"
            ".#.....\n"
            "#.#....\n"
            ".#.#...\n"
            "#.#.#..\n"
            ".#.#.#.\n"
            "..#.#.#\n");
  VisitList visits;
  Dilated{.stride = 2, .window = 2, .block = 4}.visits({12, 16}, visits);
  EXPECT_EQ(visits, (VisitList{{{4, 8}, true}, {{12, 13}, true}, {{13, 16}, false}}));
  Dilated{.stride = 2, .window = 2, .block = 4}.visits({13, 17}, visits);  // the second block begins at 16
  EXPECT_EQ(visits, (VisitList{{{4, 17}, false}}));
}

TEST(Dilated, WithoutGapsIsAWindow) {
  const Dilated dilated{.stride = 1, .window = 5, .block = 1};
  for (Pos q_pos = 0; q_pos < 20; ++q_pos) {
    for (Pos k_pos = 0; k_pos < 20; ++k_pos) {
      EXPECT_EQ(dilated.admits(q_pos, k_pos), (Window{5}.admits(q_pos, k_pos)));
    }
  }
}

TEST(Dilated, RefusesWhatMakesNoSense) {
  EXPECT_EQ(testing::error_line([] { make_where(Dilated{.stride = 0}); }), "where/dilated: stride must be >= 1, got 0");
  EXPECT_EQ(testing::error_line([] { make_where(Dilated{.window = 0}); }), "where/dilated: window must be >= 1, got 0");
  EXPECT_EQ(testing::error_line([] { make_where(Dilated{.block = -1}); }), "where/dilated: block must be >= 1, got -1");
}

}  // namespace
}  // namespace saccade::where
