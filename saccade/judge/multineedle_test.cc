#include "saccade/judge/multineedle.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "saccade/base/error.h"

namespace saccade::judge {
namespace {

std::string sentences(int n) {
  std::string text;
  for (int i = 0; i < n; ++i) text += "It was a dark and stormy night (" + std::to_string(i) + "). ";
  return text;
}

TEST(MakeNeedles, EachCityAndNumberOnce) {
  const auto needles = make_needles(kMostNeedles);
  std::set<std::string> sentences, questions, secrets;
  for (const auto& needle : needles) {
    sentences.insert(needle.sentence());
    questions.insert(needle.question);
    secrets.insert(needle.secret);
    EXPECT_TRUE(holds_word(needle.sentence(), needle.secret));
    EXPECT_FALSE(holds_word(needle.question, needle.secret)) << "a question must not answer itself";
  }
  EXPECT_EQ(sentences.size(), kMostNeedles);
  EXPECT_EQ(questions.size(), kMostNeedles);
  EXPECT_EQ(secrets.size(), kMostNeedles);
}

TEST(MakeNeedles, TheSeedDecides) {
  EXPECT_EQ(make_needles(20)[7].sentence(), make_needles(20)[7].sentence());
  EXPECT_NE(make_needles(20)[7].sentence(), make_needles(20, 2)[7].sentence());
  EXPECT_TRUE(make_needles(0).empty());
}

TEST(Plant, WorkedByHand) {
  const std::vector<Needle> needles{{.cue = "One", .secret = "1", .question = ""},
                                    {.cue = "Two", .secret = "2", .question = ""}};
  EXPECT_EQ(plant("A b c. D e f. G h i. J k l. ", needles).text, "A b c. One 1. D e f. G h i. Two 2. J k l. ");
  const auto lines = plant("int a;\nint b;\nint c;\nint d;\n", needles);
  EXPECT_EQ(lines.text, "int a;\nOne 1.\nint b;\nint c;\nTwo 2.\nint d;\n");
  EXPECT_EQ(lines.depths, (std::vector<double>{6.0 / 28, 20.0 / 28}));
}

TEST(Plant, DepthsAreSpreadAndTheRestOfTheTextStays) {
  const auto text = sentences(400);
  const auto needles = make_needles(20);
  auto haystack = plant(text, needles);
  ASSERT_EQ(haystack.depths.size(), 20U);
  for (std::size_t i = 0; i < 20; ++i)
    EXPECT_NEAR(haystack.depths[i], (static_cast<double>(i) + 0.5) / 20, 0.003) << "within a sentence of its place";
  for (const auto& needle : needles) {
    const auto at = haystack.text.find(" " + needle.sentence());
    ASSERT_NE(at, std::string::npos) << needle.sentence();
    EXPECT_EQ(haystack.text[at - 1], '.') << "after a whole sentence";
    haystack.text.erase(at, needle.sentence().size() + 1);
  }
  EXPECT_EQ(haystack.text, text);
}

TEST(Plant, ATextWithoutEndsIsRefused) {
  for (const auto& text : {std::string(5000, 'x'), std::string(), std::string("Short. "), sentences(10)})
    EXPECT_THROW(plant(text, make_needles(20)), Error) << text.substr(0, 20);
}

TEST(HoldsWord, OnlyAsAWholeWord) {
  for (const char* answer : {"48213", "It is 48213.", "**48213**", "148213, no: 48213", "48213\n"})
    EXPECT_TRUE(holds_word(answer, "48213")) << answer;
  for (const char* answer : {"", "4821", "482130", "148213", "x48213", "48 213", "48213x"})
    EXPECT_FALSE(holds_word(answer, "48213")) << answer;
}

}  // namespace
}  // namespace saccade::judge
