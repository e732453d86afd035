#include "saccade/plan/quote.h"

#include <gtest/gtest.h>

namespace saccade {
namespace {

TEST(Quote, StaysOnOneLine) {
  EXPECT_EQ(quote("window(5)"), "\"window(5)\"");
  EXPECT_EQ(quote("a\nb\tc\rd"), "\"a\\nb\\tc\\x0Dd\"");
  EXPECT_EQ(quote(std::string_view("\0", 1)), "\"\\x00\"");
}

TEST(Quote, KeepsUtf8AndEscapesWhatIsBroken) {
  EXPECT_EQ(quote("für"), "\"für\"");
  EXPECT_EQ(quote("\xFF"), "\"\\xFF\"");
  EXPECT_EQ(quote("\xE2\x82"), "\"\\xE2\\x82\"");  // the last byte of a euro sign is missing
  EXPECT_EQ(quote("\xC3("), "\"\\xC3(\"");
}

TEST(Quote, CutsLongText) {
  EXPECT_EQ(quote(std::string(100, 'a')), '"' + std::string(100, 'a') + '"');
  EXPECT_EQ(quote(std::string(101, 'a')), '"' + std::string(100, 'a') + "...\"");
  EXPECT_EQ(one_line("abc", 2), "ab...");
}

TEST(Quote, CountsCharactersAsAUserDoes) {
  EXPECT_EQ(character_at("abc", 0), 1U);
  EXPECT_EQ(character_at("abc", 3), 4U);
  EXPECT_EQ(character_at("für", 3), 3U);  // ü takes two bytes
}

}  // namespace
}  // namespace saccade
