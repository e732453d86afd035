#include "saccade/see/column_sums.h"

#include "saccade/see/parts/grid.h"

namespace saccade::see {

void ColumnSums::begin(const LookShape& shape) {
  if (sums_.n_heads() == 0) q_positions_ = shape.q_positions;
  q_positions_.end = std::max(q_positions_.end, shape.q_positions.end);
  sums_.grow(shape);
  if (squares) squares_.grow(shape);
}

void ColumnSums::observe(const WeightTile& tile) {
  const auto n = static_cast<std::size_t>(tile.n_keys());
  sums_.add(tile.head, tile.k_positions.begin, {tile.column_sums, n});
  if (!squares) return;
  float squared[WeightTile::kMostKeys];
  kernel::sum_columns(grid_of(tile), nullptr, squared);
  squares_.add(tile.head, tile.k_positions.begin, {squared, n});
}

}  // namespace saccade::see
