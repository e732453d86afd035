#pragma once

#include <algorithm>
#include <string>

#include "saccade/base/error.h"
#include "saccade/where/visit.h"

namespace saccade::where {

/// The first n positions of the text, always kept. Positions stay those of the text (StreamingLLM re-indexes them
/// inside its cache; this is its mask, without the re-indexing).
/// Source: StreamingLLM, arXiv:2309.17453.
struct Sink {
  Pos n = 4;

  bool admits(Pos q_pos, Pos k_pos) const { return k_pos < n && k_pos <= q_pos; }
  Range sees(Pos q_pos) const { return {0, std::min(n, q_pos + 1)}; }
  void visits(Range q_block, VisitList& out) const {
    visits_of_interval(sees(q_block.begin), sees(q_block.end - 1), out);
  }
  void fields(auto& f) { f("n", n, "first positions that every query sees"); }
  void check() const {
    if (n < 0) fail_user("where/sink: n must be >= 0, got " + std::to_string(n));
  }
};

}  // namespace saccade::where
