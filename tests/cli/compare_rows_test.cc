#include "apps/saccade/compare_rows.h"

#include <gtest/gtest.h>

#include <cmath>

namespace saccade::app {
namespace {

TEST(CompareRow, HeadsComeBackFromTheJson) {
  CompareRow row{.attn = "window(64)"};
  row.heads = {{.layer = 0, .head = 3, .density = 0.25, .mass = 0.9, .output_error = 0.01},
               {.layer = 23, .head = 0, .density = 1, .mass = 1, .output_error = NAN}};
  const auto again = row_from_json(nlohmann::json::parse(to_json(row).dump()));
  ASSERT_TRUE(again.has_value());
  ASSERT_EQ(again->heads.size(), 2U);
  EXPECT_EQ(again->heads[0].head, 3);
  EXPECT_EQ(again->heads[0].density, 0.25);
  EXPECT_EQ(again->heads[0].mass, 0.9);
  EXPECT_EQ(again->heads[0].output_error, 0.01);
  EXPECT_EQ(again->heads[1].layer, 23);
  EXPECT_TRUE(std::isnan(again->heads[1].output_error));
}

TEST(CompareRow, WithoutHeadsTheJsonHasNoSuchKey) {
  const CompareRow row{.attn = "dense"};
  EXPECT_FALSE(to_json(row).contains("heads"));
  EXPECT_TRUE(row_from_json(to_json(row)).has_value());
}

TEST(CompareRow, SumsUpItsHeads) {
  CompareRow row{.attn = "window(64)"};
  EXPECT_TRUE(to_json(row)["mass_mean"].is_null());
  row.heads = {{.layer = 0, .head = 3, .density = 0.25, .mass = 0.75, .output_error = 0.5},
               {.layer = 11, .head = 2, .density = 0.5, .mass = 0.25, .output_error = 0},
               {.layer = 23, .head = 0, .density = 1, .mass = 0.5, .output_error = 0.25}};
  const auto json = to_json(row);
  EXPECT_EQ(json["mass_mean"], 0.5);
  EXPECT_EQ(json["mass_worst"], 0.25);
  EXPECT_EQ(json["mass_worst_at"], "11.2");
  EXPECT_EQ(json["output_error"], 0.25);
  EXPECT_TRUE(json["decode_mass_mean"].is_null());
  EXPECT_NE(table_of({row}).find("11.2"), std::string::npos);
}

TEST(CompareRow, DamagedHeadsAreNoRow) {
  auto json = to_json(CompareRow{.attn = "dense"});
  for (const char* heads : {"[[1, 2]]", "[3]", "[[\"a\", 0, 1, 1, 1]]"}) {
    json["heads"] = nlohmann::json::parse(heads);
    EXPECT_FALSE(row_from_json(json).has_value()) << heads;
  }
}

}  // namespace
}  // namespace saccade::app
