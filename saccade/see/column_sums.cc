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
  float sums[WeightTile::kMostKeys];
  float squared[WeightTile::kMostKeys];
  const auto n = static_cast<std::size_t>(tile.n_keys());
  kernel::sum_columns(grid_of(tile), sums, squares ? squared : nullptr);
  sums_.add(tile.head, tile.k_positions.begin, {sums, n});
  if (squares) squares_.add(tile.head, tile.k_positions.begin, {squared, n});
}

}  // namespace saccade::see
