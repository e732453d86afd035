#pragma once

#include "saccade/kernel/tally.h"
#include "saccade/see/probe.h"

namespace saccade::see {

/// The weights of some rows and columns of a tile, counted from its first.
inline kernel::Grid grid_of(const WeightTile& tile, Range rows, Range columns) {
  return {tile.row(rows.begin) + columns.begin, tile.row_stride, static_cast<int>(rows.size()),
          static_cast<int>(columns.size())};
}

inline kernel::Grid grid_of(const WeightTile& tile) { return grid_of(tile, {0, tile.n_queries()}, {0, tile.n_keys()}); }

}  // namespace saccade::see
