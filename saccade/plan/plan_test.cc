#include "saccade/plan/plan.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/error_line.h"
#include "tests/support/random.h"

namespace saccade {
namespace {

using testing::error_line;
using testing::Random;

constexpr const char* kExample =
    R"json({"default": {"attn": "dense"},
            "rows": [{"layers": "2-23", "heads": "0,3-5", "attn": "window(1024)+sink(4)"}]})json";

std::string json_error(std::string_view json) {
  return error_line([&] { Plan::from_json(json); });
}

std::string load_error(const std::string& file_or_spec) {
  return error_line([&] { Plan::load(file_or_spec); });
}

/// How far back the query at 1000 sees: tells one window from another.
Pos reach(const Where& where) {
  Pos n = 0;
  while (n <= 1000 && where.admits(1000, 1000 - n)) ++n;
  return n;
}

TEST(Plan, OneSpecIsForEverything) {
  const Plan plan = Plan::from_spec(" window( 7 ) ");
  EXPECT_EQ(reach(*plan.choice(0, 0).pattern()), 7);
  EXPECT_EQ(&plan.choice(0, 0), &plan.choice(23, 13));
  EXPECT_EQ(plan.print(), "window(7)");
  EXPECT_EQ(Plan::from_spec(plan.print()), plan);
  plan.check(1, 1);
}

TEST(Plan, ReadsTheExample) {
  const Plan plan = Plan::from_json(kExample);
  const Choice& dense = plan.choice(0, 0);
  const Choice& sparse = plan.choice(2, 0);
  EXPECT_TRUE(dense.pattern()->admits(5000, 100));
  EXPECT_FALSE(sparse.pattern()->admits(5000, 100));
  EXPECT_TRUE(sparse.pattern()->admits(5000, 3));
  for (int layer = 0; layer < 26; ++layer) {
    for (int head = 0; head < 8; ++head) {
      const bool in_row = layer >= 2 && layer <= 23 && (head == 0 || (head >= 3 && head <= 5));
      EXPECT_EQ(&plan.choice(layer, head), in_row ? &sparse : &dense) << layer << " " << head;
    }
  }
  EXPECT_EQ(plan.print(), R"json({"default":{"attn":"dense"},)json"
                          R"json("rows":[{"layers":"2-23","heads":"0,3-5","attn":"window(1024)+sink(4)"}]})json");
}

TEST(Plan, LaterRowsWinOverEarlierOnesAndRowsOverTheDefault) {
  const Plan plan = Plan::from_json(R"json({"default": {"attn": "window(1)"}, "rows": [
      {"attn": "window(2)", "layers": "1-3"},
      {"attn": "window(3)", "heads": "1"},
      {"attn": "window(4)", "layers": 3}]})json");
  EXPECT_EQ(reach(*plan.choice(0, 0).pattern()), 1);
  EXPECT_EQ(reach(*plan.choice(1, 0).pattern()), 2);
  EXPECT_EQ(reach(*plan.choice(0, 1).pattern()), 3);
  EXPECT_EQ(reach(*plan.choice(1, 1).pattern()), 3);
  EXPECT_EQ(reach(*plan.choice(3, 1).pattern()), 4);
}

TEST(Plan, RowsSteerHeadsAndLeaveTheirAttentionAlone) {
  const Plan plan = Plan::from_json(R"json({"default": {"attn": "window(7)"}, "rows": [
      {"layers": "1", "attn": "dense"},
      {"layers": "0-1", "heads": "2", "steer": "uniform"},
      {"layers": "1", "heads": "2-3", "steer": "scale_head(0)"}]})json");
  EXPECT_TRUE(plan.edit(0, 0).neutral());
  EXPECT_EQ(plan.edit(0, 2), (HeadEdit{.uniform = true}));
  EXPECT_EQ(plan.edit(1, 2), (HeadEdit{.gain = 0.0F}));
  EXPECT_TRUE(plan.edit(-1, 2).neutral()) << "an unknown layer is only what rows of all layers mean";
  EXPECT_EQ(reach(*plan.choice(0, 2).pattern()), 7);
  EXPECT_EQ(&plan.choice(1, 2), &plan.choice(1, 0));
  EXPECT_EQ(Plan::from_json(plan.print()), plan);
  EXPECT_FALSE(plan == Plan::from_json(R"json({"default": {"attn": "window(7)"}})json"));
  Plan::Row row;
  row.steer = parse_spec("scale_head(2)");
  EXPECT_EQ(plan.with_row(row).edit(1, 2).gain, 2.0F);
  EXPECT_EQ(plan.edit(1, 2).gain, 0.0F);
}

TEST(Plan, SaysWhatIsWrongWithAnEdit) {
  const auto steer_error = [](const std::string& spec) {
    return json_error(R"({"rows": [{"steer": ")" + spec + R"("}]})");
  };
  EXPECT_EQ(steer_error("unifrom"), "plan: rows[0].steer: unknown edit \"unifrom\"; did you mean \"uniform\"?");
  EXPECT_EQ(steer_error("window(5)"), "plan: rows[0].steer: unknown edit \"window\"; the nearest known is \"uniform\"");
  EXPECT_EQ(steer_error("uniform+scale_head"),
            "plan: rows[0].steer: steer: it is one mechanism, such as uniform or scale_head(0), got "
            "\"uniform+scale_head\"");
  EXPECT_EQ(steer_error("scale_head(inf)"), "plan: rows[0].steer: steer/scale_head: gain must be a number, got inf");
  EXPECT_EQ(steer_error("scale_head(1e300)"), "plan: rows[0].steer: steer/scale_head: gain must be a finite number");
}

TEST(Plan, WithoutADefaultEverythingIsDense) {
  EXPECT_EQ(Plan::from_json("{}"), Plan::from_spec("dense"));
  EXPECT_EQ(Plan::from_json(R"({"rows": []})"), Plan::from_spec("dense"));
  EXPECT_FALSE(Plan::from_json(R"({"rows": [{"attn": "sink"}]})") == Plan::from_spec("dense"));
}

TEST(Plan, EqualSpecsShareOnePattern) {
  const Plan plan = Plan::from_json(R"json({"rows": [
      {"layers": "0", "attn": "window(5)"},
      {"layers": "1", "attn": " window( 5 )"},
      {"layers": "2", "attn": "dense"}]})json");
  EXPECT_EQ(&plan.choice(0, 0), &plan.choice(1, 0));
  EXPECT_EQ(&plan.choice(2, 0), &plan.choice(3, 0));
  EXPECT_NE(&plan.choice(0, 0), &plan.choice(2, 0));
}

TEST(Plan, CopiesSharePatternsThatOutliveTheOriginal) {
  Plan copy = Plan::from_spec("window(9)");
  {
    const Plan original = Plan::from_json(kExample);
    copy = original;
    EXPECT_EQ(&copy.choice(2, 0), &original.choice(2, 0));
  }
  EXPECT_TRUE(copy.choice(2, 0).pattern()->admits(5000, 3));
  EXPECT_EQ(copy, Plan::from_json(kExample));
}

std::string random_ranges(Random& random) {
  std::string text;
  for (Pos n = random.between(1, 3); n > 0; --n) {
    const Pos first = random.between(0, 40);
    text += std::to_string(first);
    if (random.one_in(2)) text += "-" + std::to_string(first + random.between(0, 9));
    if (n > 1) text += random.one_in(2) ? "," : " , ";
  }
  return text;
}

TEST(Plan, ParseOfPrintIsTheSame) {
  const std::vector<std::string> specs = {"dense", "window(5)+sink", "(window(n=8)+sink(1))&dense", "none"};
  const std::vector<std::string> steers = {"uniform", "scale_head(0)", "scale_head(gain=1.5)"};
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    Random random(seed);
    std::string json = R"({"default": {"attn": ")" + random.pick(specs) + R"("}, "rows": [)";
    for (Pos n = random.between(1, 4); n > 0; --n) {
      json += R"({"attn": ")" + random.pick(specs) + '"';
      if (random.one_in(3)) json += R"(, "steer": ")" + random.pick(steers) + '"';
      if (random.one_in(2)) json += R"(, "layers": ")" + random_ranges(random) + '"';
      if (random.one_in(2)) json += R"(, "heads": ")" + random_ranges(random) + '"';
      json += n > 1 ? "}, " : "}";
    }
    const Plan plan = Plan::from_json(json + "]}");
    ASSERT_EQ(Plan::from_json(plan.print()), plan) << "seed " << seed << ": " << json;
  }
}

TEST(Plan, ChecksLayersAndHeadsAgainstTheModel) {
  const auto check_error = [](std::string_view json) {
    const Plan plan = Plan::from_json(json);
    return error_line([&] { plan.check(24, 14); });
  };
  EXPECT_EQ(check_error(kExample), "no error");
  EXPECT_EQ(check_error(R"({"rows": [{"layers": 99, "attn": "dense"}]})"),
            "plan: rows[0].layers names layer 99, but the model has 24 (0-23)");
  EXPECT_EQ(check_error(R"({"rows": [{"attn": "sink"}, {"layers": "0,2-24", "attn": "dense"}]})"),
            "plan: rows[1].layers names layer 24, but the model has 24 (0-23)");
  EXPECT_EQ(check_error(R"({"rows": [{"heads": "14", "attn": "dense"}]})"),
            "plan: rows[0].heads names head 14, but the model has 14 (0-13)");
}

TEST(Plan, KnowsWhetherAttentionIsSkipped) {
  EXPECT_FALSE(Plan::from_json(kExample).skips_attention());
  EXPECT_TRUE(Plan::from_spec("none").skips_attention());
  EXPECT_TRUE(Plan::from_spec("dense&(sink+none)").skips_attention());
  EXPECT_TRUE(Plan::from_json(R"({"rows": [{"layers": 1, "attn": "none"}]})").skips_attention());
}

TEST(PlanJson, UnknownKeysNameTheNearest) {
  EXPECT_EQ(json_error(R"({"row": []})"), "plan: unknown key \"row\" in the plan; did you mean \"rows\"?");
  EXPECT_EQ(json_error(R"({"default": {"atn": "dense"}})"),
            "plan: unknown key \"atn\" in default; did you mean \"attn\"?");
  EXPECT_EQ(json_error(R"({"rows": [{"layer": "2", "attn": "dense"}]})"),
            "plan: unknown key \"layer\" in rows[0]; did you mean \"layers\"?");
  EXPECT_EQ(json_error(R"({"rows": [{"precision": "bf16", "attn": "dense"}]})"),
            "plan: unknown key \"precision\" in rows[0]; the nearest known is \"heads\"");
}

TEST(PlanJson, ErrorsOfASpecSayInWhichRow) {
  EXPECT_EQ(json_error(R"json({"rows": [{"attn": "dense"}, {"attn": "windw(5)"}]})json"),
            "plan: rows[1].attn: unknown mechanism \"windw\"; did you mean \"window\"?");
  EXPECT_EQ(json_error(R"json({"default": {"attn": "window(1024"}})json"),
            "plan: default.attn: spec \"window(1024\": \")\" is missing at character 12");
  EXPECT_EQ(json_error(R"json({"default": {"attn": ""}})json"),
            "plan: default.attn: spec is empty; write a mechanism, such as dense or window(1024)+sink(4)");
  EXPECT_EQ(json_error(R"json({"rows": [{"attn": "window(-1)"}]})json"),
            "plan: rows[0].attn: where/window: n must be >= 1, got -1");
}

TEST(PlanJson, SaysWhatHasTheWrongShape) {
  EXPECT_EQ(json_error("[]"), "plan: the plan must be an object, got array");
  EXPECT_EQ(json_error(R"({"default": "dense"})"), "plan: default must be an object, got string");
  EXPECT_EQ(json_error(R"({"rows": {}})"), "plan: rows must be an array, got object");
  EXPECT_EQ(json_error(R"({"rows": [3]})"), "plan: rows[0] must be an object, got number");
  EXPECT_EQ(json_error(R"({"rows": [{"layers": "1"}]})"),
            "plan: rows[0] has neither \"attn\" nor \"steer\", so it sets nothing");
  EXPECT_EQ(json_error(R"({"rows": [{"attn": 5}]})"), "plan: rows[0].attn must be a string, got number");
}

TEST(PlanJson, SaysWhatIsWrongWithARange) {
  const auto range_error = [](const std::string& layers) {
    return json_error(R"({"rows": [{"layers": )" + layers + R"(, "attn": "dense"}]})");
  };
  const std::string rule = "plan: rows[0].layers must be numbers and ranges such as \"0,3-5\", got ";
  EXPECT_EQ(range_error(R"("")"), rule + R"("")");
  EXPECT_EQ(range_error(R"("all")"), rule + R"("all")");
  EXPECT_EQ(range_error(R"("1,")"), rule + R"("1,")");
  EXPECT_EQ(range_error(R"("1-")"), rule + R"("1-")");
  EXPECT_EQ(range_error(R"("-1")"), rule + R"("-1")");
  EXPECT_EQ(range_error(R"("1--2")"), rule + R"("1--2")");
  EXPECT_EQ(range_error(R"("1 2")"), rule + R"("1 2")");
  EXPECT_EQ(range_error("-1"), rule + R"("-1")");
  EXPECT_EQ(range_error("1.5"), rule + "1.5");
  EXPECT_EQ(range_error("[1, 2]"), rule + "[1,2]");
  EXPECT_EQ(range_error(R"("5-2")"), "plan: rows[0].layers has a range that ends before it begins, 5-2");
  EXPECT_EQ(range_error(R"("99999999999999999999")"),
            "plan: rows[0].layers must stay below 1000000, got \"99999999999999999999\"");
}

TEST(PlanJson, SaysWhereTheJsonBreaks) {
  EXPECT_EQ(
      json_error(R"({"rows": [)"),
      "plan: invalid JSON, parse error at line 1, column 11: syntax error while parsing value - unexpected end of "
      "input; expected '[', '{', or a literal");
  EXPECT_TRUE(
      json_error("{\n  \"default\" {}\n}").starts_with("plan: invalid JSON, parse error at line 2, column 13: "));
  EXPECT_TRUE(json_error("").starts_with("plan: invalid JSON, parse error at line 1, column 1: "));
  EXPECT_TRUE(json_error("{\"a\xFF\": 1}").starts_with("plan: invalid JSON, parse error at line 1, column 4: "));
  EXPECT_EQ(json_error(R"({"rows": [], "rows": []})"), "plan: key \"rows\" appears twice in one object");
}

TEST(PlanJson, NoiseIsAnErrorOfOneLine) {
  for (std::uint64_t seed = 0; seed < 5000; ++seed) {
    Random random(seed);
    std::string json = kExample;
    for (Pos n = random.between(1, 3); n > 0; --n) {
      const auto at = static_cast<std::size_t>(random.between(0, static_cast<Pos>(json.size()) - 1));
      json[at] = static_cast<char>(random.between(0, 255));
    }
    const std::string line = json_error(json);
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
  }
}

class PlanFile : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, std::string_view text) const {
    const std::filesystem::path path = folder_ / name;
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
  }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("saccade_plan_test_" + std::to_string(::getpid()));
};

TEST_F(PlanFile, AFileThatExistsIsJsonAndAnythingElseASpec) {
  EXPECT_EQ(Plan::load(write("plan.json", kExample)), Plan::from_json(kExample));
  EXPECT_EQ(Plan::load("window(5)"), Plan::from_spec("window(5)"));
  EXPECT_EQ(load_error("windw(5)"), "unknown mechanism \"windw\"; did you mean \"window\"?");
}

TEST_F(PlanFile, SaysWhyAFileCannotBeRead) {
  EXPECT_EQ(load_error("missing.json"), "plan: there is no file \"missing.json\"");
  EXPECT_EQ(load_error("some/plan"), "plan: there is no file \"some/plan\"");
  EXPECT_EQ(load_error(folder_.string()), "plan: \"" + folder_.string() + "\" is a directory, not a file or a spec");
  EXPECT_TRUE(load_error(write("empty.json", "")).starts_with("plan: invalid JSON, "));
}

TEST(PlanPrecision, IsReadKeptAndPrinted) {
  EXPECT_EQ(Plan::from_spec("dense").precision(), Precision::kAuto);
  const Plan f32 = Plan::from_json(R"({"default": {"precision": "f32"}})");
  EXPECT_EQ(f32.precision(), Precision::kF32);
  EXPECT_EQ(f32, Plan::from_spec("dense").with_precision(Precision::kF32));
  EXPECT_NE(f32, Plan::from_spec("dense"));
  EXPECT_EQ(f32.print(), R"({"default":{"attn":"dense","precision":"f32"},"rows":[]})");
  EXPECT_EQ(Plan::from_json(f32.print()), f32);
  EXPECT_EQ(Plan::from_json(R"({"default": {"attn": "dense", "precision": "auto"}})").print(), "dense");
  for (const Precision precision : {Precision::kI16, Precision::kBf16}) {
    const Plan plan = Plan::from_spec("dense").with_precision(precision);
    EXPECT_EQ(Plan::from_json(plan.print()), plan) << name_of(precision);
  }
}

TEST(PlanLinear, IsReadKeptAndPrinted) {
  EXPECT_EQ(Plan::from_spec("dense").linear(), LinearLayers::kAuto);
  const Plan ggmls = Plan::from_json(R"({"default": {"linear": "ggml"}})");
  EXPECT_EQ(ggmls.linear(), LinearLayers::kGgml);
  EXPECT_EQ(ggmls, Plan::from_spec("dense").with_linear(LinearLayers::kGgml));
  EXPECT_NE(ggmls, Plan::from_spec("dense"));
  EXPECT_EQ(ggmls.print(), R"({"default":{"attn":"dense","linear":"ggml"},"rows":[]})");
  EXPECT_EQ(Plan::from_json(ggmls.print()), ggmls);
  EXPECT_EQ(Plan::from_json(R"({"default": {"linear": "auto"}})").print(), "dense");
  EXPECT_EQ(json_error(R"({"default": {"linear": "blas"}})"),
            "plan: default.linear: must be auto or ggml, got \"blas\"");
}

TEST(PlanPrecision, AnotherWordIsRefused) {
  EXPECT_EQ(json_error(R"({"default": {"precision": "int3"}})"),
            "plan: default.precision: must be auto, f32, i16 or bf16, got \"int3\"");
  EXPECT_EQ(json_error(R"({"default": {"precision": 16}})"), "plan: default.precision must be a string, got number");
}

}  // namespace
}  // namespace saccade
