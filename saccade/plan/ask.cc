#include "saccade/plan/ask.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

namespace saccade {

Answer ask_plan(const Plan& plan, int layer, std::span<const int> heads, const AskSelector& ask) {
  Answer answer;
  Selection& all = answer.selection;
  std::vector<std::pair<const Choice*, std::vector<int>>> to_ask;
  for (std::size_t place = 0; place < heads.size(); ++place) {
    const Choice& choice = plan.choice(layer, heads[place]);
    all.of_head.push_back(choice.pattern());
    if (all.of_head.back() != nullptr) continue;
    auto known = std::ranges::find(to_ask, &choice, [](const auto& one) { return one.first; });
    if (known == to_ask.end()) known = to_ask.insert(to_ask.end(), {&choice, {}});
    known->second.push_back(static_cast<int>(place));
  }
  all.scope = to_ask.empty() ? Scope::kLayer : Scope::kQueryHead;
  if (!to_ask.empty()) all.lifetime = std::numeric_limits<Pos>::max();
  for (const auto& [choice, places] : to_ask) {
    const Selection some = ask(*choice, places);
    for (std::size_t i = 0; i < places.size(); ++i) all.of_head[static_cast<std::size_t>(places[i])] = some.of_head[i];
    all.lifetime = std::min(all.lifetime, some.lifetime);
    if (places.size() == heads.size()) all.scope = some.scope;
    all.cost += some.cost;
    all.n_dense_by_rule += some.n_dense_by_rule;
    all.n_dense_by_floor += some.n_dense_by_floor;
    all.n_dense_by_cost += some.n_dense_by_cost;
    answer.n_asked += static_cast<std::int64_t>(places.size());
  }
  return answer;
}

}  // namespace saccade
