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

void Diagonals::want(RowWants& wants) {
  at_ = wants.offsets.size();
  wants.offsets.insert(wants.offsets.end(), offsets.begin(), offsets.end());
}

void Diagonals::take(const RowSeen& row) {
  const auto weights = row.diagonals.subspan(at_, offsets.size());
  std::ranges::copy(weights, values_.row(row.head, row.q_position));
}

}  // namespace saccade::see
