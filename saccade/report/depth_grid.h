#pragma once

#include <string>
#include <vector>

namespace saccade::report {

struct GridCell {
  bool yes = false;
  std::string hint;  ///< on hover
};

struct GridRow {
  std::string name;
  std::vector<GridCell> cells;
};

/// A grid of yes (a filled square with a tick) and no (an empty one with a cross): readable in black and white. The
/// sums of rows stand at the right, those of columns below.
///
/// Requires  every row has as many cells as there are heads
std::string depth_grid(const std::vector<std::string>& heads, const std::string& heads_name,
                       const std::vector<GridRow>& rows);

}  // namespace saccade::report
