#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "saccade/where/choice.h"
#include "saccade/where/parts/memory.h"

namespace saccade::llama {

/// What the selectors of one layer keep from one call of a text to the next: what they remember of its keys, choices
/// that still hold, and whether choosing has paid.
class LayerState {
 public:
  /// As saccade::choose, but a choice with a lifetime is held on for that many calls of one query each, at the
  /// positions right after it and for the same heads. Every other call drops it: another prompt begins, or a part of
  /// this one ran elsewhere.
  Selection choose(const Choice& choice, const SelectCall& call);

 private:
  struct OfChoice {
    Foresight prefill, decode;
    Selection held;
    std::vector<int> heads;
    Pos used_at = 0;  ///< the last query that used `held`
    Pos n_left = 0;   ///< calls that may still use it
  };
  std::map<const Choice*, OfChoice> of_choice_;
  KeyMemory memory_;  ///< notices by itself when its keys are another prompt's
};

/// The states of all layers of one context. Where the caches move about, the ones unused for longest are dropped: there
/// are at most four for each layer and sequence seen.
class LayerStates {
 public:
  /// Whose attention: the layer (-1: not known), the stream, and the first of the query heads that share a mask.
  using Place = std::tuple<int, Pos, Pos>;

  /// The state of the keys that lie at `cache`; good until the next call.
  LayerState& at(const void* cache, const Place& place);
  /// Nothing is known of the keys at `cache` any more.
  void lose(const void* cache);
  /// To be called when choices of the plan go away.
  void clear() { states_.clear(); }
  std::size_t size() const { return states_.size(); }

 private:
  struct Used {
    LayerState state;
    std::int64_t at = 0;
  };
  std::map<std::pair<const void*, Pos>, Used> states_;  ///< by cache and first query head
  std::set<Place> places_;
  std::int64_t now_ = 0;
};

}  // namespace saccade::llama
