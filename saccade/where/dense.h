#pragma once

#include "saccade/where/visit.h"

namespace saccade::where {

/// Every key up to and including the query's own position: causal attention, nothing left out.
/// Source: FlashAttention-2, arXiv:2307.08691.
struct Dense {
  bool admits(Pos q_pos, Pos k_pos) const { return k_pos <= q_pos; }
  void visits(Range q_block, VisitList& out) const {
    visits_of_interval({0, q_block.begin + 1}, {0, q_block.end}, out);
  }
  void fields(auto&) {}
};

}  // namespace saccade::where
