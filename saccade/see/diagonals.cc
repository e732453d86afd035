#include "saccade/see/diagonals.h"

#include <algorithm>

namespace saccade::see {

void Diagonals::observe(const WeightTile& tile) {
  const auto width = static_cast<Pos>(offsets.size());
  float* out = values_.row(tile.head, tile.q_positions.begin);
  for (Pos n = 0; n < width; ++n) {
    // Row i wants the tile's column i + shift.
    const Pos shift = tile.q_positions.begin - offsets[static_cast<std::size_t>(n)] - tile.k_positions.begin;
    const Pos last = std::min(tile.n_queries(), tile.n_keys() - shift);
    for (Pos i = std::max<Pos>(0, -shift); i < last; ++i) out[i * width + n] = tile.row(i)[i + shift];
  }
}

}  // namespace saccade::see
