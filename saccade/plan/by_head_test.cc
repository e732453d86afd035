#include "saccade/plan/by_head.h"

#include <gtest/gtest.h>

#include "saccade/plan/plan.h"

namespace saccade {
namespace {

TEST(ByHead, EqualRowsAreMerged) {
  const std::map<std::pair<int, int>, std::string> specs = {
      {{0, 0}, "dense"},      {{0, 1}, "sink(4)"},    {{0, 2}, "sink(4)"},  //
      {{1, 0}, "window(64)"}, {{1, 1}, "sink(4)"},    {{1, 2}, "sink(4)"},  //
      {{2, 0}, "sink(4)"},    {{2, 1}, "window(64)"}, {{2, 2}, "sink(4)"}};
  const std::string plan = R"=({"default":{"attn":"dense"},"rows":[)="
                           R"=({"layers":"0-1","heads":"1-2","attn":"sink(4)"},)="
                           R"=({"layers":"1","heads":"0","attn":"window(64)"},)="
                           R"=({"layers":"2","heads":"0,2","attn":"sink(4)"},)="
                           R"=({"layers":"2","heads":"1","attn":"window(64)"}]})=";
  EXPECT_EQ(write_plan(plan_by_head(specs)), plan);
}

TEST(ByHead, EveryHeadGetsItsOwnSpecBack) {
  std::map<std::pair<int, int>, std::string> specs;
  constexpr const char* kSpecs[] = {"dense", "window(64)", "sink(4)", "sparge+window(256)"};
  for (int layer = 0; layer < 9; ++layer) {
    for (int head = 0; head < 5; ++head) specs[{layer, head}] = kSpecs[(layer * layer + 3 * head) % 4];
  }
  const PlanRows rows = plan_by_head(specs);
  for (const auto& [place, spec] : specs) {
    int n_rows = 0;
    const auto holds = [](const std::vector<Range>& ranges, int number) {
      for (const Range& range : ranges)
        if (range.begin <= number && number < range.end) return true;
      return false;
    };
    for (const auto& row : rows.rows) {
      if (!holds(row.layers, place.first) || !holds(row.heads, place.second)) continue;
      EXPECT_EQ(print_spec(*row.attn), spec);
      ++n_rows;
    }
    EXPECT_EQ(n_rows, spec == "dense" ? 0 : 1) << place.first << "." << place.second;
  }
  const Plan plan = Plan::from_json(write_plan(rows));
  EXPECT_EQ(&plan.choice(1, 0), &plan.choice(3, 0));  // 1 and 9: one spec, one choice
}

TEST(ByHead, NothingButDense) {
  const std::map<std::pair<int, int>, std::string> specs = {{{0, 0}, "dense"}};
  EXPECT_EQ(write_plan(plan_by_head(specs)), R"({"default":{"attn":"dense"},"rows":[]})");
}

}  // namespace
}  // namespace saccade
