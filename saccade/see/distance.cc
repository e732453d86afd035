#include "saccade/see/distance.h"

#include <algorithm>

#include "saccade/see/parts/grid.h"

namespace saccade::see {

void Distance::observe(const WeightTile& tile) {
  constexpr Pos kMost = WeightTile::kMostQueries;
  // Distances fall by one from key to key and grow by one from query to query: one table for all rows, each of which
  // starts one earlier in it. Whole numbers that f32 holds exactly.
  float table[kMost + WeightTile::kMostKeys];
  float dots[kMost];
  const Pos n = tile.n_queries();
  const Pos farthest = tile.q_positions.end - 1 - tile.k_positions.begin;
  const Pos nearest = tile.q_positions.begin - (tile.k_positions.end - 1);
  const Pos n_distances = farthest - nearest + 1;
  for (Pos i = 0; i < n_distances; ++i) table[i] = static_cast<float>(farthest - i);
  kernel::dot_rows(grid_of(tile), table + n - 1, -1, dots);
  float* mean = mean_.row(tile.head, tile.q_positions.begin);
  for (Pos i = 0; i < n; ++i) mean[i] += dots[i];

  float* clipped = clipped_.row(tile.head, tile.q_positions.begin);
  const auto most = static_cast<float>(clip);
  if (nearest >= clip) {
    for (Pos i = 0; i < n; ++i) clipped[i] += most * tile.row_sums[i];
    return;
  }
  for (Pos i = 0; i < n_distances; ++i) table[i] = std::min(table[i], most);
  kernel::dot_rows(grid_of(tile), table + n - 1, -1, dots);
  for (Pos i = 0; i < n; ++i) clipped[i] += dots[i];
}

}  // namespace saccade::see
