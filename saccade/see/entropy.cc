#include "saccade/see/entropy.h"

namespace saccade::see {

void Entropy::observe(const WeightTile& tile) {
  constexpr float kLn2 = 0.69314718F;
  float* out = values_.row(tile.head, tile.q_positions.begin);
  for (Pos i = 0; i < tile.n_queries(); ++i) out[i] -= kLn2 * tile.row_log_sums[i];
}

}  // namespace saccade::see
