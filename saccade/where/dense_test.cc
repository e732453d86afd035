#include "saccade/where/dense.h"

#include <gtest/gtest.h>

#include "tests/laws/where_laws.h"
#include "tests/support/picture.h"

namespace saccade::where {
namespace {

TEST(Dense, Laws) { testing::check_where_laws<Dense>({{}}); }

TEST(Dense, ByHand) {
  EXPECT_EQ(testing::picture(Dense{}, 4),
            "#...\n"
            "##..\n"
            "###.\n"
            "####\n");
  VisitList visits;
  Dense{}.visits({4, 8}, visits);
  EXPECT_EQ(visits, (VisitList{{{0, 5}, true}, {{5, 8}, false}}));
  Dense{}.visits({7, 8}, visits);  // decode: one query sees all there is
  EXPECT_EQ(visits, (VisitList{{{0, 8}, true}}));
}

}  // namespace
}  // namespace saccade::where
