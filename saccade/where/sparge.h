#pragma once

#include <vector>

#include "saccade/where/parts/selection.h"

namespace saccade::where {

/// For prompts: of each block of 128 queries, the blocks of 64 keys that make up a share tau of the softmax of mean
/// query times mean key. Blocks whose rows do not resemble one another are not judged by their mean: such a block of
/// keys is seen by all later queries, and such a block of queries sees everything. Decode steps run dense.
///
/// Source: SpargeAttn, arXiv:2502.18137, stage 1. Deviations: its second stage, which skips products with values whose
/// weights turn out small, is the kernel's business and left out; so are its 8-bit scores and its parameters tuned per
/// head; the blocks of a query's own position are always there, and the first one unless sink=0 (optional in the
/// source). Nor is theta the source's 0.6, under which Qwen2.5 keeps 80 % of its pairs and more, since its keys
/// resemble one another in few blocks: means always speak unless told otherwise (docs/fidelity.md). Resemblance is
/// taken of keys less the mean of all keys so far, so that it depends on how a prompt is cut.
struct Sparge {
  double tau = 0.98;
  double theta = -1;
  bool sink = true;

  static constexpr Pos kQueries = 128, kKeys = 64;
  static constexpr SelectTraits kTraits{.prefill = true, .decode = false, .depends_on_batch = true};

  /// Cost  2 (q_len / 128) (kv_len / 64) head_dim FLOP a head, and one look at the new keys; with theta >= 0 another at
  ///       all of them
  void choose(const SelectCall& call, Selection& out) const;
  /// The same for each tau of kLadder, from one estimate.
  void climb(const SelectCall& call, std::vector<Selection>& rungs) const;
  void fields(auto& f) {
    f("tau", tau, "share of the pooled weight that a block of queries keeps");
    f("theta", theta, "mean cosine between the rows of a block, above which its mean speaks for it; -1: always");
    f("sink", sink, "keep the first block");
  }
  void check() const;
};

/// The mean of the cosines of all pairs of rows of a block, each with itself among them: |sum of unit rows|^2 / n^2,
/// after `centre` was taken off each row. A row of zeros is like none. NaN where a number is none.
/// Shapes    rows [n, dim], centre [dim], n >= 1
float self_similarity(const float* rows, Pos n, Pos dim, const float* centre);

}  // namespace saccade::where
