#pragma once

#include <optional>
#include <string>
#include <vector>

namespace saccade::report {

enum class Better { kNone, kLess, kMore };

struct Column {
  std::string head;
  Better better = Better::kNone;  ///< the best value of the column is set in bold
};

/// What stands there, and the number to sort by; without one it is sorted by its text.
struct Cell {
  std::string text;
  std::optional<double> value;
};

/// A table whose heads sort it. Every row has as many cells as there are columns; the first is its name.
std::string table(const std::vector<Column>& columns, const std::vector<std::vector<Cell>>& rows);

}  // namespace saccade::report
