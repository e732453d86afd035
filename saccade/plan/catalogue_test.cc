#include "saccade/plan/catalogue.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace saccade {
namespace {

TEST(Catalogue, EveryMechanismHasARow) {
  for (const MechanismInfo& info : catalogue()) {
    EXPECT_FALSE(info.sentence.empty()) << "docs/mechanisms.md has no row | " << info.name << " | " << info.word
                                        << " | what it does | source |";
    EXPECT_EQ(info.sentence.empty(), info.source.empty()) << info.name << ": its row names no source";
  }
}

TEST(Catalogue, EveryRowHasAMechanism) {
  for (const std::string_view row : rows_without_header()) {
    ADD_FAILURE() << "docs/mechanisms.md has a row for " << row << ", but there is no saccade/" << row << ".h";
  }
}

TEST(Catalogue, EveryMechanismIsBuiltFromItsDefaultsAsTyped) {
  for (const MechanismInfo& info : catalogue()) {
    SpecArgs args;
    for (const ParamInfo& param : info.params) {
      EXPECT_FALSE(param.help.empty()) << info.name << ": " << param.name << " has no help";
      args.emplace_back(param.name, param.default_value);
    }
    EXPECT_EQ(info.make_choice != nullptr, info.word == "where") << info.name;
    EXPECT_EQ(info.make_edit != nullptr, info.word == "steer") << info.name;
    EXPECT_EQ(info.make_softcap != nullptr, info.word == "weigh") << info.name;
    if (info.make_edit != nullptr) EXPECT_EQ(info.make_edit(args), info.make_edit({})) << info.name;
    if (info.make_softcap != nullptr) EXPECT_EQ(info.make_softcap(args), info.make_softcap({})) << info.name;
    if (info.make_choice == nullptr) continue;
    EXPECT_NE(info.make_choice(args), nullptr) << info.name;
    EXPECT_NE(info.make_choice({}), nullptr) << info.name;
  }
}

TEST(Catalogue, WhatOnlyLooksIsNoChoice) {
  ASSERT_NE(find("entropy"), nullptr);
  EXPECT_EQ(find("entropy")->word, "see");
  for (const MechanismInfo* info : choices()) EXPECT_EQ(info->word, "where") << info->name;
}

TEST(Catalogue, NamesAreUnique) {
  std::vector<std::string_view> names;
  for (const MechanismInfo& info : catalogue()) names.push_back(info.name);
  std::ranges::sort(names);
  EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
}

TEST(Catalogue, Finds) {
  const MechanismInfo* window = find("window");
  ASSERT_NE(window, nullptr);
  EXPECT_EQ(window->word, "where");
  EXPECT_EQ(window->source, "Longformer, arXiv:2004.05150");
  ASSERT_EQ(window->params.size(), 1U);
  EXPECT_EQ(window->params[0].name, "n");
  EXPECT_EQ(window->params[0].default_value, "1024");
  for (const char* name : {"dense", "none", "sink"}) EXPECT_NE(find(name), nullptr) << name;
  EXPECT_EQ(find("visit"), nullptr);
  EXPECT_EQ(find(""), nullptr);
}

}  // namespace
}  // namespace saccade
