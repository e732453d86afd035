#pragma once

#include <span>
#include <vector>

#include "saccade/where/parts/selection.h"

namespace saccade::where {

/// For prompts: the columns and diagonals, in blocks of 128, that cover a share gamma of what the last 128 queries of a
/// batch look at; in heads whose last queries look as their mean predicts, also the blocks that pooled queries score
/// highest (query-aware heads). Decode steps run dense.
///
/// Source: FlexPrefill, arXiv:2502.20766. Deviations: the last rows of a batch speak for its rows, so that what is
/// chosen depends on how a prompt is cut; blocks of diagonals begin at distance 0, the paper's at the far end (the same
/// where the text is a multiple of 128); the soft cap counts in the last rows, not in pooled scores.
struct Flexprefill {
  double gamma = 0.9;
  double tau = 0.1;
  Pos min_budget = 1024;
  Pos max_budget = 0;
  bool inclusive = false;

  static constexpr Pos kBlock = 128;
  static constexpr SelectTraits kTraits{.prefill = true, .decode = false, .depends_on_batch = true};

  /// Cost  2 x 128 kv_len head_dim FLOP a head; scratch of 128 x kv_len floats a worker
  void choose(const SelectCall& call, Selection& out) const;
  /// The same for each gamma of kLadder, from one look at the last queries, and with a min_budget of at most 128, so
  /// that heads which look nearby need not pay for 1,024 columns and as many diagonals.
  void climb(const SelectCall& call, std::vector<Selection>& rungs) const;
  void fields(auto& f) {
    f("gamma", gamma, "share of the last queries' weight that columns, and diagonals, have to cover");
    f("tau", tau, "heads closer than this to their pooled estimate are query-aware; 0: none");
    f("min_budget", min_budget, "columns, and diagonals, kept in any head, in tokens");
    f("max_budget", max_budget, "most columns, and diagonals, kept, in tokens; 0: no limit");
    f("inclusive", inclusive, "query-aware heads: keep the block with which gamma is reached");
  }
  void check() const;
};

/// The square root of the Jensen-Shannon divergence of two distributions (each sums to 1), in natural logarithms;
/// 0 ln 0 = 0. From 0 (equal) to sqrt(ln 2). NaN where one of them is.
double sqrt_js(std::span<const float> p, std::span<const float> q);

}  // namespace saccade::where
