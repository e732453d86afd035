#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "saccade/base/random.h"
#include "saccade/where/where.h"

namespace saccade::app {

/// Blocks of 128 x 128 drawn at random, and the diagonal: what a selector of blocks would hand over, at a given density
/// of the causal blocks. A pattern to measure with, not a mechanism.
struct BlockList {
  static constexpr Pos kSide = 128;
  Pos first_row = 0;                    ///< the block row of rows[0]
  std::vector<std::vector<bool>> rows;  ///< [block row][block of keys]

  static BlockList draw(Range queries, double density, std::uint64_t seed) {
    Random random(seed);
    BlockList list{.first_row = queries.begin / kSide, .rows = {}};
    for (Pos row = list.first_row; row * kSide < queries.end; ++row) {
      auto& blocks = list.rows.emplace_back(static_cast<std::size_t>(row + 1), false);
      blocks.back() = true;
      const auto wanted = static_cast<Pos>(std::lround(density * static_cast<double>(row + 1)));
      // Selection sampling: exactly `wanted` of them, the diagonal included.
      Pos left = row, missing = std::clamp<Pos>(wanted - 1, 0, row);
      for (Pos block = 0; block < row; ++block, --left) {
        if (random.between(1, left) > missing) continue;
        blocks[static_cast<std::size_t>(block)] = true;
        --missing;
      }
    }
    return list;
  }

  bool has(Pos row, Pos block) const {
    const auto& blocks = rows[static_cast<std::size_t>(row - first_row)];
    return block < static_cast<Pos>(blocks.size()) && blocks[static_cast<std::size_t>(block)];
  }
  bool admits(Pos q_pos, Pos k_pos) const { return k_pos <= q_pos && has(q_pos / kSide, k_pos / kSide); }

  void visits(Range q_block, VisitList& out) const {
    out.clear();
    if (q_block.empty()) return;
    const Pos first = q_block.begin / kSide, last = (q_block.end - 1) / kSide;
    for (Pos block = 0; block <= last; ++block) {
      Pos n_seeing = 0;
      for (Pos row = first; row <= last; ++row) n_seeing += has(row, block) ? 1 : 0;
      if (n_seeing == 0) continue;
      const bool full = n_seeing == last - first + 1 && (block + 1) * kSide <= q_block.begin + 1;
      const Range keys{block * kSide, std::min((block + 1) * kSide, q_block.end)};
      if (!out.empty() && out.back().full == full && out.back().keys.end == keys.begin)
        out.back().keys.end = keys.end;
      else
        out.push_back({keys, full});
    }
  }
};

}  // namespace saccade::app
