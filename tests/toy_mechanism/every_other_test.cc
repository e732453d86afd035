#include "saccade/where/every_other.h"

#include <gtest/gtest.h>

#include "tests/laws/where_laws.h"
#include "tests/support/picture.h"

namespace saccade::where {
namespace {

TEST(EveryOther, Laws) { testing::check_where_laws<EveryOther>({{.n = 1}, {.n = 7}}); }

TEST(EveryOther, ByHand) {
  EXPECT_EQ(testing::picture(EveryOther{.n = 2}, 4),
            "#...\n"
            ".#..\n"
            "#.#.\n"
            ".#.#\n");
}

}  // namespace
}  // namespace saccade::where
