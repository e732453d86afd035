#include "saccade/plan/ask.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "saccade/where/window.h"

namespace saccade {
namespace {

TEST(AskPlan, PatternsAtOnceAndSelectorsTogether) {
  const Plan plan = Plan::from_json(
      R"({"default": {"attn": "sparge"}, "rows": [{"heads": "2", "attn": "dense"}, {"heads": "5,7", "attn": "quest"}]})");
  const std::vector<int> heads = {1, 2, 5, 6, 7};
  const WherePtr found = make_where(where::Window{3});
  std::vector<std::vector<int>> asked;
  const Answer answer = ask_plan(plan, 0, heads, [&](const Choice&, std::span<const int> places) {
    asked.emplace_back(places.begin(), places.end());
    Selection some;
    some.of_head.assign(places.size(), found);
    some.lifetime = asked.size() == 1 ? 7 : 5;
    some.cost = {.flop = 10, .bytes = 1};
    some.n_dense_by_rule = 1, some.n_dense_by_floor = 2, some.n_dense_by_cost = 3;
    return some;
  });
  EXPECT_EQ(asked, (std::vector<std::vector<int>>{{0, 3}, {2, 4}}));
  EXPECT_EQ(answer.n_asked, 4);
  for (const std::size_t place : {0, 2, 3, 4}) EXPECT_EQ(answer.selection.of_head[place], found) << place;
  EXPECT_NE(answer.selection.of_head[1], found);
  EXPECT_TRUE(answer.selection.of_head[1]->admits(9, 0));  // dense
  EXPECT_EQ(answer.selection.lifetime, 5);
  EXPECT_EQ(answer.selection.scope, Scope::kQueryHead);
  EXPECT_EQ(answer.selection.cost.flop, 20);
  EXPECT_EQ(answer.selection.n_dense_by_rule, 2);
  EXPECT_EQ(answer.selection.n_dense_by_floor, 4);
  EXPECT_EQ(answer.selection.n_dense_by_cost, 6);
}

TEST(AskPlan, OneSelectorForAllKeepsItsScope) {
  const std::vector<int> heads = {0, 1};
  const Answer answer = ask_plan(Plan::from_spec("quest"), 3, heads, [](const Choice&, std::span<const int> places) {
    Selection some;
    some.of_head.assign(places.size(), make_where(where::Window{3}));
    some.scope = Scope::kKvHead;
    return some;
  });
  EXPECT_EQ(answer.selection.scope, Scope::kKvHead);
  EXPECT_EQ(answer.selection.lifetime, Selection::kThisCall);
}

TEST(AskPlan, NobodyIsAskedForPatterns) {
  std::vector<int> heads(4);
  std::iota(heads.begin(), heads.end(), 0);
  const Answer answer = ask_plan(Plan::from_spec("window(3)"), 0, heads, [](const Choice&, std::span<const int>) {
    ADD_FAILURE() << "a pattern needs no selector";
    return Selection{};
  });
  EXPECT_EQ(answer.n_asked, 0);
  EXPECT_EQ(answer.selection.scope, Scope::kLayer);
  EXPECT_EQ(answer.selection.of_head.size(), 4U);
}

}  // namespace
}  // namespace saccade
