#include "saccade/see/rows.h"

#include <algorithm>

namespace saccade::see {

void Rows::begin(const LookShape& shape) {
  for (const Pos q : queries) {
    if (q < shape.q_positions.begin || q >= shape.q_positions.end) continue;
    rows_[q] = {shape.kv_len, std::vector<float>(static_cast<std::size_t>(shape.n_heads * shape.kv_len), 0.0F)};
  }
}

void Rows::observe(const WeightTile& tile) {
  for (auto at = rows_.lower_bound(tile.q_positions.begin); at != rows_.end() && at->first < tile.q_positions.end;
       ++at) {
    Row& row = at->second;
    std::copy_n(tile.row(at->first - tile.q_positions.begin), tile.n_keys(),
                row.weights.data() + tile.head * row.kv_len + tile.k_positions.begin);
  }
}

std::span<const float> Rows::row(int head, Pos q_position) const {
  const auto found = rows_.find(q_position);
  if (found == rows_.end()) return {};
  const Row& row = found->second;
  return std::span(row.weights)
      .subspan(static_cast<std::size_t>(head * row.kv_len), static_cast<std::size_t>(row.kv_len));
}

}  // namespace saccade::see
