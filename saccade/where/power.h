#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "saccade/base/error.h"
#include "saccade/where/parts/block_runs.h"
#include "saccade/where/visit.h"

namespace saccade::where {

/// Blocks of keys at a distance of 0 or a power of two from the query's block, the newest `window` blocks and the first
/// `n_sink`: after d layers every block nearer than 2^d has been heard of. The models it was made for were trained on
/// with it; here the mask alone.
/// Cost: at most log2(blocks) + 2 + window + n_sink blocks a query. Source: PowerAttention, arXiv:2503.03588.
struct Power {
  Pos block = 256;
  Pos window = 5;
  Pos n_sink = 1;

  bool admits(Pos q_pos, Pos k_pos) const {
    const Pos t = k_pos / block, distance = q_pos / block - t;
    return k_pos <= q_pos && ((distance & (distance - 1)) == 0 || distance < window || t < n_sink);
  }
  void visits(Range q_block, VisitList& out) const {
    const auto runs_of = [&](Pos u, std::vector<Range>& runs) {
      const Pos sink_end = std::min(n_sink, u + 1);
      const Pos window_begin = std::max(sink_end, u + 1 - std::min(std::max<Pos>(1, window), u + 1));
      runs.push_back({0, sink_end});
      runs.push_back({window_begin, u + 1});
      for (Pos distance = 1; distance <= u; distance *= 2) {
        const Pos t = u - distance;
        if (t >= sink_end && t < window_begin) runs.push_back({t, t + 1});
      }
    };
    visits_of_runs(q_block, block, runs_of, out);
  }
  Pos q_step() const { return block; }
  void fields(auto& f) {
    f("block", block, "positions that are kept or left out together");
    f("window", window, "newest blocks a query sees, its own included");
    f("n_sink", n_sink, "first blocks that every query sees");
  }
  void check() const {
    if (block < 1) fail_user("where/power: block must be >= 1, got " + std::to_string(block));
    if (window < 0) fail_user("where/power: window must be >= 0, got " + std::to_string(window));
    if (n_sink < 0) fail_user("where/power: n_sink must be >= 0, got " + std::to_string(n_sink));
  }
};

}  // namespace saccade::where
