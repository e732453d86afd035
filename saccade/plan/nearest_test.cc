#include "saccade/plan/nearest.h"

#include <gtest/gtest.h>

namespace saccade {
namespace {

constexpr std::string_view kKnown[] = {"dense", "sink", "window"};

TEST(Nearest, CountsEdits) {
  EXPECT_EQ(edit_distance("", ""), 0);
  EXPECT_EQ(edit_distance("", "sink"), 4);
  EXPECT_EQ(edit_distance("sink", ""), 4);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("windw", "window"), 1);
  EXPECT_EQ(edit_distance("WINDOW", "window"), 0);
}

TEST(Nearest, TakesTheFirstOnATie) {
  EXPECT_EQ(nearest("windw", kKnown), "window");
  EXPECT_EQ(nearest("dens", kKnown), "dense");
  EXPECT_EQ(nearest("zzzz", kKnown), "sink");
  EXPECT_EQ(nearest("", kKnown), "sink");
}

TEST(Nearest, OnlyAsksWhenItMayHaveBeenMeant) {
  EXPECT_EQ(suggest("windw", kKnown), "did you mean \"window\"?");
  EXPECT_EQ(suggest("flexprefill", kKnown), "the nearest known is \"dense\"");
}

}  // namespace
}  // namespace saccade
