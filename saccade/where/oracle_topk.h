#pragma once

#include "saccade/where/parts/selection.h"

namespace saccade::where {

/// The upper bound, SLOW ON PURPOSE: for each block of queries the fewest keys that hold a share `mass` of what dense
/// attention gives them, found by computing all of dense attention's weights first.
///
/// Weights are summed over the queries of a block, so that a block of one query (decode) gets the true top keys; of a
/// block cut by a batch, each part chooses by itself. Where a block's first query would see none of the keys found, it
/// also sees itself.
///
/// Source: Saccade.
struct OracleTopk {
  double mass = 0.95;
  Pos block_q = 64;

  static constexpr SelectTraits kTraits{.prefill = true, .decode = true, .depends_on_batch = true};

  /// Cost  more than dense attention: 2 q_len kv_len head_dim FLOP a head and a sort of kv_len sums a block; scratch of
  ///       block_q x kv_len floats a worker
  void choose(const SelectCall& call, Selection& out) const;
  void fields(auto& f) {
    f("mass", mass, "share of the true weight that is kept");
    f("block_q", block_q, "queries that share their keys");
  }
  void check() const;
};

}  // namespace saccade::where
