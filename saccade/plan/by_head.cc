#include "saccade/plan/by_head.h"

#include <algorithm>
#include <vector>

namespace saccade {
namespace {

/// Ascending numbers as half-open ranges.
std::vector<Range> ranges_of(const std::vector<int>& numbers) {
  std::vector<Range> ranges;
  for (const int number : numbers) {
    if (!ranges.empty() && ranges.back().end == number) {
      ++ranges.back().end;
    } else {
      ranges.push_back({number, number + 1});
    }
  }
  return ranges;
}

}  // namespace

PlanRows plan_by_head(const std::map<std::pair<int, int>, std::string>& specs) {
  std::map<std::pair<int, std::string>, std::vector<int>> heads_of;  // by layer and spec
  for (const auto& [place, spec] : specs) heads_of[{place.first, spec}].push_back(place.second);
  std::map<std::pair<std::string, std::vector<int>>, std::vector<int>> layers_of;  // by spec and heads
  for (const auto& [key, heads] : heads_of) layers_of[{key.second, heads}].push_back(key.first);
  PlanRows plan;
  plan.default_row.attn = parse_spec("dense");
  for (const auto& [key, layers] : layers_of) {
    if (key.first == "dense") continue;
    Plan::Row& row = plan.rows.emplace_back();
    row.layers = ranges_of(layers), row.heads = ranges_of(key.second);
    row.attn = parse_spec(key.first);
  }
  std::ranges::stable_sort(plan.rows, [](const Plan::Row& a, const Plan::Row& b) {
    return a.layers.front().begin < b.layers.front().begin;
  });
  return plan;
}

}  // namespace saccade
