#include "saccade/see/class_masses.h"

#include <algorithm>

#include "saccade/see/parts/grid.h"

namespace saccade::see {

void ClassMasses::observe(const WeightTile& tile) {
  float part[WeightTile::kMostQueries];
  const Range keys = tile.k_positions;
  const auto width = static_cast<Pos>(spans.size());
  for (Pos span = 0; span < width; ++span) {
    const Range wanted = spans[static_cast<std::size_t>(span)].keys;
    const Range both{std::max(wanted.begin, keys.begin), std::min(wanted.end, keys.end)};
    if (both.empty()) continue;
    const float* sums = tile.row_sums;
    if (!(both == keys)) {
      kernel::sum_rows(grid_of(tile, {0, tile.n_queries()}, {both.begin - keys.begin, both.end - keys.begin}), part);
      sums = part;
    }
    float* out = values_.row(tile.head, tile.q_positions.begin) + span;
    for (Pos i = 0; i < tile.n_queries(); ++i) out[i * width] += sums[i];
  }
}

void ClassMasses::want(RowWants& wants) {
  at_ = wants.spans.size();
  for (const Span& span : spans) wants.spans.push_back(span.keys);
}

void ClassMasses::take(const RowSeen& row) {
  const auto masses = row.masses.subspan(at_, spans.size());
  std::ranges::copy(masses, values_.row(row.head, row.q_position));
}

}  // namespace saccade::see
