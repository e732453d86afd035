#pragma once

#include <algorithm>
#include <string>

#include "saccade/base/error.h"
#include "saccade/where/visit.h"

namespace saccade::where {

/// The n newest keys, the query's own position among them.
/// Source: Longformer, arXiv:2004.05150.
struct Window {
  Pos n = 1024;

  bool admits(Pos q_pos, Pos k_pos) const { return k_pos <= q_pos && k_pos > q_pos - n; }
  Range sees(Pos q_pos) const { return {std::max<Pos>(0, q_pos + 1 - n), q_pos + 1}; }
  void visits(Range q_block, VisitList& out) const {
    visits_of_interval(sees(q_block.begin), sees(q_block.end - 1), out);
  }
  /// A block of queries visits as many keys more as it has queries: few beside a wide window, most beside a narrow one.
  Pos q_step() const { return n < 4096 ? 128 : 1; }
  void fields(auto& f) { f("n", n, "keys a query sees, itself included"); }
  void check() const {
    if (n < 1) fail_user("where/window: n must be >= 1, got " + std::to_string(n));
  }
};

}  // namespace saccade::where
