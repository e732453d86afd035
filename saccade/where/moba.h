#pragma once

#include "saccade/where/parts/selection.h"

namespace saccade::where {

/// Of each query, one by one: its own chunk of keys, and of the chunks before it those whose mean key it scores
/// highest, top_k chunks in all. Models were trained with it; here it is put on models that were not.
///
/// Source: MoBA, arXiv:2502.13189. No deviation: a block of queries visits what any of them chose, and masks say which
/// query sees what, instead of the authors' merge of one call for the own chunk and one for the others.
struct Moba {
  Pos chunk = 512;
  Pos top_k = 3;

  static constexpr SelectTraits kTraits{.prefill = true, .decode = true};

  /// Cost  2 q_len kv_len / chunk head_dim FLOP a head, and a pass over new keys (over all without call.memory)
  void choose(const SelectCall& call, Selection& out) const;
  void fields(auto& f) {
    f("chunk", chunk, "keys that are kept or left out together");
    f("top_k", top_k, "chunks that a query sees, its own included");
  }
  void check() const;
};

}  // namespace saccade::where
