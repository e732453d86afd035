#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "saccade/base/error.h"
#include "saccade/where/parts/block_runs.h"
#include "saccade/where/visit.h"

namespace saccade::where {

/// The newest `stride` blocks of keys, and of those before the last of every `stride`: columns that all queries share,
/// to which a layer can write what its neighbourhood said. Blocks of one position give the pattern of the source (one
/// column of a stride); larger ones let a block of queries share its keys.
/// Cost: stride + blocks / stride blocks a query. Source: Sparse Transformer, arXiv:1904.10509, its "fixed" pattern
/// with the local part sliding instead of cut at multiples of the stride.
struct Strided {
  Pos stride = 16;
  Pos block = 64;

  bool admits(Pos q_pos, Pos k_pos) const {
    const Pos u = q_pos / block, t = k_pos / block;
    return k_pos <= q_pos && (u - t < stride || is_column(t));
  }
  void visits(Range q_block, VisitList& out) const {
    // A list of more than 4,096 columns would take longer to read than it saves: one visit with masks (block 64 and
    // stride 16: from position 4,194,304 on).
    if (q_block.end / block / stride > 4096) {
      out.assign(q_block.empty() ? 0 : 1, {{0, q_block.end}, false});
      return;
    }
    const auto runs_of = [&](Pos u, std::vector<Range>& runs) {
      const Pos window_begin = u + 1 - std::min(stride, u + 1);
      for (Pos t = stride - 1; t < window_begin; t += stride) runs.push_back({t, t + 1});
      runs.push_back({window_begin, u + 1});
    };
    visits_of_runs(q_block, block, runs_of, out);
  }
  Pos q_step() const { return block; }
  void fields(auto& f) {
    f("stride", stride, "newest blocks a query sees, and blocks from one column to the next");
    f("block", block, "positions that are kept or left out together");
  }
  void check() const {
    if (stride < 1) fail_user("where/strided: stride must be >= 1, got " + std::to_string(stride));
    if (block < 1) fail_user("where/strided: block must be >= 1, got " + std::to_string(block));
  }

 private:
  bool is_column(Pos t) const { return t % stride == stride - 1; }
};

}  // namespace saccade::where
