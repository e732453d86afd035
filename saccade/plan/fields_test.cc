#include "saccade/plan/fields.h"

#include <gtest/gtest.h>

#include "tests/support/error_line.h"

namespace saccade {
namespace {

using testing::error_line;

/// One parameter of every type.
struct Sample {
  Pos block = 64;
  double gamma = 0.95;
  std::string pool = "mean";
  bool causal = true;

  void fields(auto& f) {
    f("block", block, "positions per block");
    f("gamma", gamma, "share of the mass to keep");
    f("pool", pool, "how a block becomes one key");
    f("causal", causal, "look back only");
  }
};

struct Bare {
  void fields(auto&) {}
};

Sample assigned(const SpecArgs& args) {
  Sample sample;
  assign_params("where/sample", args, sample);
  return sample;
}

std::string error_of(const SpecArgs& args) {
  return error_line([&] { assigned(args); });
}

TEST(Fields, ListsNamesTypesDefaultsAndHelp) {
  const std::vector<ParamInfo> params = params_of<Sample>();
  ASSERT_EQ(params.size(), 4U);
  EXPECT_EQ(params[0].name, "block");
  EXPECT_EQ(params[0].type, "int");
  EXPECT_EQ(params[0].default_value, "64");
  EXPECT_EQ(params[0].help, "positions per block");
  EXPECT_EQ(params[1].type, "number");
  EXPECT_EQ(params[1].default_value, "0.95");
  EXPECT_EQ(params[2].type, "word");
  EXPECT_EQ(params[2].default_value, "mean");
  EXPECT_EQ(params[3].type, "on/off");
  EXPECT_EQ(params[3].default_value, "on");
  EXPECT_TRUE(params_of<Bare>().empty());
}

TEST(Fields, AssignsByPlaceThenByName) {
  const Sample all = assigned({{"", "16"}, {"", "1e-3"}, {"", "max"}, {"", "off"}});
  EXPECT_EQ(all.block, 16);
  EXPECT_EQ(all.gamma, 1e-3);
  EXPECT_EQ(all.pool, "max");
  EXPECT_FALSE(all.causal);

  const Sample some = assigned({{"", "-7"}, {"causal", "off"}, {"gamma", "1"}});
  EXPECT_EQ(some.block, -7);
  EXPECT_EQ(some.gamma, 1.0);
  EXPECT_EQ(some.pool, "mean");
  EXPECT_FALSE(some.causal);
}

TEST(Fields, SaysWhichValueHasTheWrongType) {
  EXPECT_EQ(error_of({{"", "1.5"}}), "where/sample: block must be a whole number, got 1.5");
  EXPECT_EQ(error_of({{"block", "many"}}), "where/sample: block must be a whole number, got many");
  EXPECT_EQ(error_of({{"block", "8x8"}}), "where/sample: block must be a whole number, got 8x8");
  EXPECT_EQ(error_of({{"block", "9223372036854775808"}}),
            "where/sample: block must be a number that fits in 64 bits, got 9223372036854775808");
  EXPECT_EQ(error_of({{"gamma", "much"}}), "where/sample: gamma must be a number, got much");
  EXPECT_EQ(error_of({{"gamma", "nan"}}), "where/sample: gamma must be a number, got nan");
  EXPECT_EQ(error_of({{"gamma", "1e999"}}), "where/sample: gamma must be a number that fits in 64 bits, got 1e999");
  EXPECT_EQ(error_of({{"pool", "3"}}), "where/sample: pool must be a word, got 3");
  EXPECT_EQ(error_of({{"causal", "1"}}), "where/sample: causal must be on or off, got 1");
}

TEST(Fields, SaysWhichArgumentHasNoPlace) {
  EXPECT_EQ(error_of({{"gama", "1"}}), "where/sample: unknown parameter \"gama\"; did you mean \"gamma\"?");
  EXPECT_EQ(error_of({{"temperature", "1"}}),
            "where/sample: unknown parameter \"temperature\"; the nearest known is \"gamma\"");
  EXPECT_EQ(error_of({{"", "1"}, {"", "1"}, {"", "a"}, {"", "on"}, {"", "5"}}),
            "where/sample: takes at most 4 values, got 5");
  EXPECT_EQ(error_of({{"", "1"}, {"block", "2"}}), "where/sample: block is given twice, 1 and 2");
  EXPECT_EQ(error_of({{"gamma", "1"}, {"", "2"}}),
            "where/sample: a value without a name must come before the named ones, got 2");
  const auto bare = [](const SpecArgs& args) {
    Bare mechanism;
    assign_params("where/bare", args, mechanism);
  };
  EXPECT_EQ(error_line([&] { bare({{"", "5"}}); }), "where/bare: takes no parameters, got 5");
  EXPECT_EQ(error_line([&] { bare({{"n", "5"}}); }), "where/bare: takes no parameters, got n=5");
}

}  // namespace
}  // namespace saccade
