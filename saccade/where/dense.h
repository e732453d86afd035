#pragma once

#include "saccade/where/visit.h"

namespace saccade::where {

/// Every key up to and including the query's own position: causal attention, nothing left out.
/// Source: FlashAttention-2, arXiv:2307.08691.
struct Dense {
  bool admits(Pos q_pos, Pos k_pos) const { return k_pos <= q_pos; }
  Range sees(Pos q_pos) const { return {0, q_pos + 1}; }
  void visits(Range q_block, VisitList& out) const {
    visits_of_interval(sees(q_block.begin), sees(q_block.end - 1), out);
  }
  void fields(auto&) {}
};

}  // namespace saccade::where
