#include "saccade/plan/spec.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/error_line.h"
#include "tests/support/random.h"

namespace saccade {
namespace {

using testing::error_line;
using testing::Random;

Spec mechanism(std::string name, SpecArgs args = {}) {
  Spec spec;
  spec.name = std::move(name);
  spec.args = std::move(args);
  return spec;
}

Spec joined(Spec::Kind kind, std::vector<Spec> parts) {
  Spec spec;
  spec.kind = kind;
  spec.parts = std::move(parts);
  return spec;
}

std::string parse_error(std::string_view text) {
  return error_line([&] { parse_spec(text); });
}

std::string build_error(std::string_view text) {
  return error_line([&] { build_choice(parse_spec(text)); });
}

TEST(Spec, ReadsTheGrammar) {
  const Spec window = mechanism("window", {{"", "1024"}});
  const Spec sink = mechanism("sink", {{"n", "4"}});
  EXPECT_EQ(parse_spec("dense"), mechanism("dense"));
  EXPECT_EQ(parse_spec("dense()"), mechanism("dense"));
  EXPECT_EQ(parse_spec("((dense))"), mechanism("dense"));
  EXPECT_EQ(parse_spec("window(1024)"), window);
  EXPECT_EQ(parse_spec("window(1024)+sink(n=4)"), joined(Spec::Kind::kUnion, {window, sink}));
  EXPECT_EQ(parse_spec(" window ( 1024 )\n+ sink( n = 4 ) "), joined(Spec::Kind::kUnion, {window, sink}));
  EXPECT_EQ(parse_spec("a(-1, 0.5, .5, 1e-3, 2E+4, word, 8x8, 4x16x16, on=off)"), mechanism("a", {{"", "-1"},
                                                                                                  {"", "0.5"},
                                                                                                  {"", ".5"},
                                                                                                  {"", "1e-3"},
                                                                                                  {"", "2E+4"},
                                                                                                  {"", "word"},
                                                                                                  {"", "8x8"},
                                                                                                  {"", "4x16x16"},
                                                                                                  {"on", "off"}}));
}

TEST(Spec, BindsAndTighterThanPlus) {
  const Spec a = mechanism("a"), b = mechanism("b"), c = mechanism("c");
  EXPECT_EQ(parse_spec("a+b&c"), joined(Spec::Kind::kUnion, {a, joined(Spec::Kind::kIntersection, {b, c})}));
  EXPECT_EQ(parse_spec("(a+b)&c"), joined(Spec::Kind::kIntersection, {joined(Spec::Kind::kUnion, {a, b}), c}));
  EXPECT_EQ(parse_spec("a+b+c"), joined(Spec::Kind::kUnion, {a, b, c}));
  EXPECT_EQ(parse_spec("a+(b+c)"), joined(Spec::Kind::kUnion, {a, joined(Spec::Kind::kUnion, {b, c})}));
}

Spec random_spec(Random& random, int depth) {
  const Pos kind = depth == 0 ? 0 : random.between(0, 2);
  if (kind == 0) {
    Spec spec = mechanism(random.pick({"dense", "window", "sink", "power_of_two", "_x9"}));
    for (Pos n = random.between(0, 3); n > 0; --n) {
      spec.args.emplace_back(random.pick({"", "n", "gamma", "block_q"}),
                             random.pick({"1", "-17", "0.95", "1e-3", "3E+9", "mean", "off", "8x8", "1x22x333", ".5"}));
    }
    return spec;
  }
  std::vector<Spec> parts;
  for (Pos n = random.between(2, 4); n > 0; --n) parts.push_back(random_spec(random, depth - 1));
  return joined(kind == 1 ? Spec::Kind::kUnion : Spec::Kind::kIntersection, std::move(parts));
}

TEST(Spec, ParseOfPrintIsTheSame) {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    Random random(seed);
    const Spec spec = random_spec(random, static_cast<int>(seed % 4));
    ASSERT_EQ(parse_spec(print_spec(spec)), spec) << "seed " << seed << ": " << print_spec(spec);
  }
}

TEST(Spec, PrintsTheShortestForm) {
  EXPECT_EQ(print_spec(parse_spec(" ( window( 1024 ) + sink(n = 4) ) ")), "window(1024)+sink(n=4)");
  EXPECT_EQ(print_spec(parse_spec("((a & b) + c) & d()")), "(a&b+c)&d");
}

TEST(Spec, SaysWhatIsMissingAndWhere) {
  constexpr const char* kEmpty = "spec is empty; write a mechanism, such as dense or window(1024)+sink(4)";
  EXPECT_EQ(parse_error(""), kEmpty);
  EXPECT_EQ(parse_error(" \n\t"), kEmpty);
  EXPECT_EQ(parse_error("window(1024"), "spec \"window(1024\": \")\" is missing at character 12");
  EXPECT_EQ(parse_error("window("), "spec \"window(\": \")\" is missing at character 8");
  EXPECT_EQ(parse_error("window(n="), "spec \"window(n=\": a value is missing at character 10");
  EXPECT_EQ(parse_error("window(5,"), "spec \"window(5,\": a value is missing at character 10");
  EXPECT_EQ(parse_error("(dense"), "spec \"(dense\": \")\" is missing at character 7");
  EXPECT_EQ(parse_error("dense+"), "spec \"dense+\": a mechanism is missing at character 7");
}

TEST(Spec, SaysWhatIsInTheWayAndWhere) {
  EXPECT_EQ(parse_error("window(5)x"),
            "spec \"window(5)x\": expected \"+\", \"&\" or the end, got \"x\" at character 10");
  EXPECT_EQ(parse_error("dense)"), "spec \"dense)\": expected \"+\", \"&\" or the end, got \")\" at character 6");
  EXPECT_EQ(parse_error("dense++sink"), "spec \"dense++sink\": expected a mechanism, got \"+\" at character 7");
  EXPECT_EQ(parse_error("5"), "spec \"5\": expected a mechanism, got \"5\" at character 1");
  EXPECT_EQ(parse_error("()"), "spec \"()\": expected a mechanism, got \")\" at character 2");
  EXPECT_EQ(parse_error("window(5 6)"), "spec \"window(5 6)\": expected \",\" or \")\", got \"6\" at character 10");
  EXPECT_EQ(parse_error("window(,5)"), "spec \"window(,5)\": expected a value, got \",\" at character 8");
  EXPECT_EQ(parse_error("window(5=6)"), "spec \"window(5=6)\": expected \",\" or \")\", got \"=\" at character 9");
  EXPECT_EQ(parse_error("(a b)"), "spec \"(a b)\": expected \"+\", \"&\" or \")\", got \"b\" at character 4");
  EXPECT_EQ(parse_error("fünf"), "spec \"fünf\": expected \"+\", \"&\" or the end, got \"ü\" at character 2");
  EXPECT_EQ(parse_error("dense\xFF"),
            "spec \"dense\\xFF\": expected \"+\", \"&\" or the end, got \"\\xFF\" at character 6");
}

TEST(Spec, SaysWhichValueIsNone) {
  EXPECT_EQ(parse_error("window(12abc)"),
            "spec \"window(12abc)\": \"12abc\" is no number, word or size such as 8x8 at character 8");
  EXPECT_EQ(parse_error("window(1.2.3)"),
            "spec \"window(1.2.3)\": \"1.2.3\" is no number, word or size such as 8x8 at character 8");
  EXPECT_EQ(parse_error("window(2x2x2x2)"),
            "spec \"window(2x2x2x2)\": \"2x2x2x2\" is no number, word or size such as 8x8 at character 8");
  EXPECT_EQ(parse_error("window(-)"),
            "spec \"window(-)\": \"-\" is no number, word or size such as 8x8 at character 8");
}

TEST(Spec, RefusesEndlessNesting) {
  const std::string deep = std::string(64, '(') + "dense" + std::string(64, ')');
  EXPECT_EQ(parse_spec(deep), mechanism("dense"));
  EXPECT_EQ(parse_error(std::string(100'000, '(')),
            "spec \"" + std::string(100, '(') + "...\": parentheses are nested more than 64 deep at character 65");
}

TEST(Spec, NoiseIsAnErrorOfOneLine) {
  constexpr std::string_view kLetters = "dense(),+&=x1.-e \n\"\xC3\xBC";
  for (std::uint64_t seed = 0; seed < 20'000; ++seed) {
    Random random(seed);
    std::string text;
    for (Pos n = random.between(0, 12); n > 0; --n) {
      text += kLetters[static_cast<std::size_t>(random.between(0, static_cast<Pos>(kLetters.size()) - 1))];
    }
    const std::string line = parse_error(text);
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
    if (line == "no error") EXPECT_EQ(parse_spec(print_spec(parse_spec(text))), parse_spec(text)) << text;
  }
}

TEST(BuildWhere, LooksUpNamesAndParameters) {
  const WherePtr where = build_choice(parse_spec("window(3)+sink(n=2)"))->pattern();
  std::string seen;
  for (Pos k_pos = 0; k_pos < 12; ++k_pos) seen += where->admits(9, k_pos) ? '#' : '.';
  EXPECT_EQ(seen, "##.....###..");
  const WherePtr both = build_choice(parse_spec("window(8)&sink(4)"))->pattern();
  seen.clear();
  for (Pos k_pos = 0; k_pos < 12; ++k_pos) seen += both->admits(9, k_pos) ? '#' : '.';
  EXPECT_EQ(seen, "..##........");
}

TEST(BuildWhere, NamesTheNearest) {
  EXPECT_EQ(build_error("windw(5)"), "unknown mechanism \"windw\"; did you mean \"window\"?");
  EXPECT_EQ(build_error("dense+Sinc(5)"), "unknown mechanism \"Sinc\"; did you mean \"sink\"?");
  EXPECT_EQ(build_error("window(m=5)"), "where/window: unknown parameter \"m\"; the nearest known is \"n\"");
}

TEST(BuildWhere, SaysPlaceRuleAndValue) {
  EXPECT_EQ(build_error("window(-1)"), "where/window: n must be >= 1, got -1");
  EXPECT_EQ(build_error("window(0)"), "where/window: n must be >= 1, got 0");
  EXPECT_EQ(build_error("dense+sink(-1)"), "where/sink: n must be >= 0, got -1");
  EXPECT_EQ(build_error("window(2.5)"), "where/window: n must be a whole number, got 2.5");
  EXPECT_EQ(build_error("window(99999999999999999999)"),
            "where/window: n must be a number that fits in 64 bits, got 99999999999999999999");
  EXPECT_EQ(build_error("window(1,2)"), "where/window: takes at most 1 value, got 2");
  EXPECT_EQ(build_error("window(1,n=2)"), "where/window: n is given twice, 1 and 2");
  EXPECT_EQ(build_error("window(n=1,n=2)"), "where/window: n is given twice, 1 and 2");
  EXPECT_EQ(build_error("dense(5)"), "where/dense: takes no parameters, got 5");
}

}  // namespace
}  // namespace saccade
