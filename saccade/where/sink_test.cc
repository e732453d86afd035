#include "saccade/where/sink.h"

#include <gtest/gtest.h>

#include "tests/laws/where_laws.h"
#include "tests/support/error_line.h"
#include "tests/support/picture.h"

namespace saccade::where {
namespace {

TEST(Sink, Laws) {
  testing::check_where_laws<Sink>({{.n = 0}, {.n = 1}, {.n = 4}, {.n = 63}, {.n = 64}, {.n = 1000}, {.n = INT64_MAX}});
}

TEST(Sink, ByHand) {
  EXPECT_EQ(testing::picture(Sink{.n = 2}, 4),
            "#...\n"
            "##..\n"
            "##..\n"
            "##..\n");
  VisitList visits;
  Sink{.n = 6}.visits({4, 8}, visits);  // the query at 4 does not see the key at 5 yet
  EXPECT_EQ(visits, (VisitList{{{0, 5}, true}, {{5, 6}, false}}));
  Sink{.n = 6}.visits({8, 12}, visits);
  EXPECT_EQ(visits, (VisitList{{{0, 6}, true}}));
  Sink{.n = 0}.visits({8, 12}, visits);
  EXPECT_TRUE(visits.empty());
}

TEST(Sink, RefusesLessThanNothing) {
  EXPECT_EQ(testing::error_line([] { make_where(Sink{.n = -1}); }), "where/sink: n must be >= 0, got -1");
  EXPECT_EQ(testing::error_line([] { make_where(Sink{.n = 0}); }), "no error");
}

}  // namespace
}  // namespace saccade::where
