#include "saccade/where/local.h"

#include <gtest/gtest.h>

#include "tests/laws/where_laws.h"
#include "tests/support/error_line.h"

namespace saccade::where {
namespace {

TEST(Local, Laws) { testing::check_where_laws<Local>({{.n = 1}, {.n = 2}, {.n = 5}, {.n = INT64_MAX}}); }

TEST(Local, ByHand) {
  EXPECT_EQ(Local{.n = 2}.sees(127), (Range{0, 128}));
  EXPECT_EQ(Local{.n = 2}.sees(128), (Range{0, 129}));
  EXPECT_EQ(Local{.n = 2}.sees(256), (Range{128, 257}));
  EXPECT_EQ(Local{.n = 1}.sees(256), (Range{256, 257}));
  VisitList visits;
  Local{.n = 2}.visits({256, 384}, visits);  // the block before whole, and the first key of the own
  EXPECT_EQ(visits, (VisitList{{{128, 257}, true}, {{257, 384}, false}}));
}

TEST(Local, RefusesLessThanItsOwnBlock) {
  EXPECT_EQ(testing::error_line([] { make_where(Local{.n = 0}); }), "where/local: n must be >= 1, got 0");
  EXPECT_EQ(testing::error_line([] { make_where(Local{.n = 1}); }), "no error");
}

}  // namespace
}  // namespace saccade::where
