#include "plugins/llama/layer_state.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "saccade/where/parts/held.h"

namespace saccade::llama {
namespace {

/// The same for later queries. It costs nothing more.
Selection held_on(const Selection& chosen, Pos at) {
  Selection held = chosen;
  std::map<const Where*, WherePtr> made;  // heads that share a choice go on sharing it
  for (WherePtr& where : held.of_head) {
    WherePtr& later = made[where.get()];
    if (later == nullptr) later = std::make_shared<Held>(where, at);
    where = later;
  }
  held.cost = {};
  return held;
}

}  // namespace

Selection LayerState::choose(const Choice& choice, const SelectCall& call) {
  OfChoice& mine = of_choice_[&choice];
  const bool goes_on = call.decodes() && call.q_begin == mine.used_at + 1 && std::ranges::equal(call.heads, mine.heads);
  if (mine.n_left > 0 && goes_on) {
    mine.used_at = call.q_begin;
    --mine.n_left;
    return mine.held;
  }
  mine.n_left = 0;
  SelectCall with_memory = call;
  with_memory.memory = &memory_;
  Selection chosen = saccade::choose(choice, with_memory, call.decodes() ? &mine.decode : &mine.prefill);
  if (chosen.lifetime > 0) {
    const Pos at = call.q_end() - 1;
    mine.held = held_on(chosen, at);
    mine.heads.assign(call.heads.begin(), call.heads.end());
    mine.used_at = at;
    mine.n_left = chosen.lifetime;
  }
  return chosen;
}

LayerState& LayerStates::at(const void* cache, const Place& place) {
  places_.insert(place);
  Used& used = states_[{cache, std::get<2>(place)}];
  used.at = ++now_;
  if (states_.size() > 4 * places_.size()) {
    states_.erase(std::ranges::min_element(states_, {}, [](const auto& entry) { return entry.second.at; }));
  }
  return used.state;
}

void LayerStates::lose(const void* cache) {
  const auto is_cache = [&](const auto& entry) { return entry.first.first == cache; };
  std::erase_if(states_, is_cache);
}

}  // namespace saccade::llama
