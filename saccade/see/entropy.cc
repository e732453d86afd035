#include "saccade/see/entropy.h"

#include "saccade/see/parts/grid.h"

namespace saccade::see {

void Entropy::observe(const WeightTile& tile) {
  constexpr float kLn2 = 0.69314718F;
  float dots[WeightTile::kMostQueries];
  kernel::dot_rows(grid_of(tile), tile.log2_weights, tile.row_stride, dots);
  float* out = values_.row(tile.head, tile.q_positions.begin);
  for (Pos i = 0; i < tile.n_queries(); ++i) out[i] -= kLn2 * dots[i];
}

}  // namespace saccade::see
