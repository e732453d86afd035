#pragma once

#include <string>
#include <vector>

#include "saccade/base/error.h"
#include "saccade/where/parts/block_runs.h"
#include "saccade/where/visit.h"

namespace saccade::where {

/// A window with gaps: `window` blocks of keys, the query's own block and then every `stride`-th one before it. Blocks
/// of one position give the pattern of the source; larger ones let a block of queries share its keys.
/// Source: Longformer, arXiv:2004.05150, section 3.1 (dilated sliding window).
struct Dilated {
  Pos stride = 4;
  Pos window = 16;
  Pos block = 64;

  bool admits(Pos q_pos, Pos k_pos) const {
    const Pos distance = q_pos / block - k_pos / block;
    return k_pos <= q_pos && distance % stride == 0 && distance / stride < window;
  }
  void visits(Range q_block, VisitList& out) const {
    const auto runs_of = [&](Pos u, std::vector<Range>& runs) {
      Pos t = u;
      for (Pos n = 0; n < window && t >= 0; ++n, t -= stride) runs.push_back({t, t + 1});
    };
    visits_of_runs(q_block, block, runs_of, out);
  }
  Pos q_step() const { return block; }
  void fields(auto& f) {
    f("stride", stride, "blocks from one that is seen to the next");
    f("window", window, "blocks a query sees, its own included");
    f("block", block, "positions that are kept or left out together");
  }
  void check() const {
    if (stride < 1) fail_user("where/dilated: stride must be >= 1, got " + std::to_string(stride));
    if (window < 1) fail_user("where/dilated: window must be >= 1, got " + std::to_string(window));
    if (block < 1) fail_user("where/dilated: block must be >= 1, got " + std::to_string(block));
  }
};

}  // namespace saccade::where
