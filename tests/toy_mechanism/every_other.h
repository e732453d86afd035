#pragma once

#include <string>

#include "saccade/base/error.h"
#include "saccade/where/visit.h"

namespace saccade::where {

/// Every n-th key back from the query, the query's own position among them.
struct EveryOther {
  Pos n = 2;

  bool admits(Pos q_pos, Pos k_pos) const { return k_pos <= q_pos && (q_pos - k_pos) % n == 0; }
  void visits(Range q_block, VisitList& out) const {
    out.clear();
    if (q_block.end > 0) out.push_back({{0, q_block.end}, n == 1 && q_block.size() == 1});
  }
  void fields(auto& f) { f("n", n, "distance between the keys a query sees"); }
  void check() const {
    if (n < 1) fail_user("where/every_other: n must be >= 1, got " + std::to_string(n));
  }
};

}  // namespace saccade::where
