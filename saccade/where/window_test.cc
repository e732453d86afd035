#include "saccade/where/window.h"

#include <gtest/gtest.h>

#include "tests/laws/where_laws.h"
#include "tests/support/error_line.h"
#include "tests/support/picture.h"

namespace saccade::where {
namespace {

TEST(Window, Laws) {
  testing::check_where_laws<Window>({{.n = 1}, {.n = 2}, {.n = 31}, {.n = 64}, {.n = 1024}, {.n = INT64_MAX}});
}

TEST(Window, ByHand) {
  EXPECT_EQ(testing::picture(Window{.n = 2}, 4),
            "#...\n"
            "##..\n"
            ".##.\n"
            "..##\n");
  VisitList visits;
  Window{.n = 6}.visits({10, 14}, visits);  // 10 sees [5, 11), 13 sees [8, 14): all of them see [8, 11)
  EXPECT_EQ(visits, (VisitList{{{5, 8}, false}, {{8, 11}, true}, {{11, 14}, false}}));
  Window{.n = 2}.visits({10, 14}, visits);  // 10 sees [9, 11), 13 sees [12, 14): nothing that all of them see
  EXPECT_EQ(visits, (VisitList{{{9, 14}, false}}));
  Window{.n = 6}.visits({13, 14}, visits);
  EXPECT_EQ(visits, (VisitList{{{8, 14}, true}}));
}

TEST(Window, RefusesAWindowWithoutKeys) {
  EXPECT_EQ(testing::error_line([] { make_where(Window{.n = 0}); }), "where/window: n must be >= 1, got 0");
  EXPECT_EQ(testing::error_line([] { make_where(Window{.n = -1}); }), "where/window: n must be >= 1, got -1");
}

}  // namespace
}  // namespace saccade::where
