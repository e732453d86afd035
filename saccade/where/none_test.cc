#include "saccade/where/none.h"

#include <gtest/gtest.h>

#include "tests/laws/where_laws.h"
#include "tests/support/picture.h"

namespace saccade::where {
namespace {

TEST(None, Laws) { testing::check_where_laws<None>({{}}); }

TEST(None, ByHand) {
  EXPECT_EQ(testing::picture(None{}, 3), "...\n...\n...\n");
  VisitList visits = {{{0, 4}, true}};
  None{}.visits({0, 8}, visits);
  EXPECT_TRUE(visits.empty());
}

}  // namespace
}  // namespace saccade::where
