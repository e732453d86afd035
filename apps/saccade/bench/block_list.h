#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "saccade/base/random.h"
#include "saccade/where/parts/lists.h"

namespace saccade::app {

/// Blocks of 128 x 128 drawn at random, and the diagonal: what a selector of blocks would hand over for one head, at a
/// given density of the causal blocks.
inline BlockLists draw_blocks(Range queries, double density, std::uint64_t seed) {
  constexpr Pos kSide = 128;
  Random random(seed);
  Lists lists;
  const Pos first = queries.begin / kSide;
  for (Pos row = first; row * kSide < queries.end; ++row) {
    const auto wanted = static_cast<Pos>(std::lround(density * static_cast<double>(row + 1)));
    std::vector<std::int32_t> list;
    // Selection sampling: exactly `wanted` of them, the diagonal included.
    Pos left = row, missing = std::clamp<Pos>(wanted - 1, 0, row);
    for (Pos block = 0; block < row; ++block, --left) {
      if (random.between(1, left) > missing) continue;
      list.push_back(static_cast<std::int32_t>(block));
      --missing;
    }
    list.push_back(static_cast<std::int32_t>(row));
    lists.add(list);
  }
  return {kSide, kSide, first, std::move(lists)};
}

}  // namespace saccade::app
