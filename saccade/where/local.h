#pragma once

#include <algorithm>
#include <string>

#include "saccade/base/error.h"
#include "saccade/where/visit.h"

namespace saccade::where {

/// In blocks of 128 positions: a query's own and the n - 1 before it. Beside a selector of blocks it sees near keys
/// at the price of whole blocks, where a window's ragged end costs a masked visit for each block of queries.
/// Source: the window of blocks of BigBird, arXiv:2007.14062, causal and without its right half.
struct Local {
  static constexpr Pos kBlock = 128;
  Pos n = 2;

  bool admits(Pos q_pos, Pos k_pos) const { return k_pos <= q_pos && k_pos >= sees(q_pos).begin; }
  Range sees(Pos q_pos) const { return {n > q_pos / kBlock ? 0 : (q_pos / kBlock - (n - 1)) * kBlock, q_pos + 1}; }
  void visits(Range q_block, VisitList& out) const {
    visits_of_interval(sees(q_block.begin), sees(q_block.end - 1), out);
  }
  Pos q_step() const { return kBlock; }
  void fields(auto& f) { f("n", n, "blocks of 128 that a query sees, its own included"); }
  void check() const {
    if (n < 1) fail_user("where/local: n must be >= 1, got " + std::to_string(n));
  }
};

}  // namespace saccade::where
