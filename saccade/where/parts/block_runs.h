#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "saccade/where/visit.h"

namespace saccade {

/// The visits of a pattern of blocks: every query of block u sees the keys of some blocks up to its own position.
/// `runs_of(u, out)` appends the blocks that block u sees as half-open runs, in any order, none twice.
/// Replaces `out`. Cost O(n log n) for n runs in all. Shown full: what every query is known to see.
template <class RunsOf>
void visits_of_runs(Range q_block, Pos block, const RunsOf& runs_of, VisitList& out) {
  out.clear();
  if (q_block.empty()) return;
  std::vector<std::pair<Pos, int>> edges;  // key, how many of the query blocks begin (end, where negative) to see there
  std::vector<Range> runs;
  const Pos first = q_block.begin / block, last = (q_block.end - 1) / block;
  const Pos full_end = q_block.begin + 1;  // the first query sees as far as itself
  for (Pos u = first; u <= last; ++u) {
    runs.clear();
    runs_of(u, runs);
    const Pos own_end = u == last ? q_block.end : (u + 1) * block;
    for (const Range& run : runs) {
      const Range keys{run.begin * block, run.end > u ? own_end : run.end * block};
      if (keys.empty()) continue;
      edges.emplace_back(keys.begin, 1), edges.emplace_back(keys.end, -1);
    }
  }
  edges.emplace_back(full_end, 0);
  std::sort(edges.begin(), edges.end());
  const Pos n_blocks = last - first + 1;
  Pos at = 0, n_seeing = 0;
  for (const auto& [key, change] : edges) {
    if (key > at && n_seeing > 0) {
      const bool full = n_seeing == n_blocks && key <= full_end;
      if (!out.empty() && out.back().keys.end == at && out.back().full == full) {
        out.back().keys.end = key;
      } else {
        out.push_back({{at, key}, full});
      }
    }
    at = key, n_seeing += change;
  }
}

}  // namespace saccade
