#include "saccade/see/band_sums.h"

#include <algorithm>

namespace saccade::see {

void BandSums::observe(const WeightTile& tile) {
  const Pos nearest = tile.q_positions.begin - (tile.k_positions.end - 1);
  const Pos farthest = tile.q_positions.end - 1 - tile.k_positions.begin;
  if (farthest < begin_distance || nearest >= end_distance) return;
  const auto n = static_cast<std::size_t>(tile.n_keys());
  if (tile.column_sums && nearest >= begin_distance && farthest < end_distance) {
    sums_.add(tile.head, tile.k_positions.begin, {tile.column_sums, n});
  } else {
    float sums[WeightTile::kMostKeys] = {};
    for (Pos i = 0; i < tile.n_queries(); ++i) {
      const Pos q = tile.q_positions.begin + i - tile.k_positions.begin;  // the query, counted from the first key
      const float* row = tile.row(i);
      const Pos last = std::min(q - begin_distance + 1, tile.n_keys());
      for (Pos j = std::max<Pos>(0, q - end_distance + 1); j < last; ++j) sums[j] += row[j];
    }
    sums_.add(tile.head, tile.k_positions.begin, {sums, n});
  }
}

}  // namespace saccade::see
