#pragma once

#include "saccade/where/parts/selection.h"

namespace saccade::where {

/// For decode steps: the pages of 16 keys that could hold the largest scores, judged by the least and largest key of
/// each page, and the newest page. Prompts run dense, and so do the first layers.
///
/// Source: Quest, arXiv:2406.10774. Deviations: the heads that read one KV head share their pages, so that keys are
/// read once (each head's bounds go through a softmax and are added up, or the head with the longest query would
/// decide); the newest page is always there, as in the authors' kernels; a share of the text adds to the fixed budget
/// (share=0: the source's), or long texts would be read ever more thinly.
struct Quest {
  Pos page = 16;
  Pos budget = 2048;
  double share = 0.0625;
  Pos dense_layers = 2;

  static constexpr SelectTraits kTraits{.prefill = false, .decode = true};

  /// Cost  4 head_dim FLOP a page and query head, 4 head_dim bytes a page and KV head, from call.memory (KeyMemory),
  ///       which the prompt's calls fill; without one, a pass over all keys
  void choose(const SelectCall& call, Selection& out) const;
  void fields(auto& f) {
    f("page", page, "keys that are kept or left out together");
    f("budget", budget, "keys that a step looks at, whatever the text's length");
    f("share", share, "and this share of the text more");
    f("dense_layers", dense_layers, "first layers, which look at everything");
  }
  void check() const;
};

}  // namespace saccade::where
