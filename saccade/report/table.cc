#include "saccade/report/table.h"

#include <fmt/format.h>

#include <cmath>

#include "saccade/report/html.h"

namespace saccade::report {
namespace {

/// The best value of a column in which not all are alike.
std::optional<double> best_of(const Column& column, const std::vector<std::vector<Cell>>& rows, std::size_t i) {
  std::optional<double> least, most;
  for (const auto& row : rows) {
    const auto& value = row[i].value;
    if (!value || std::isnan(*value)) continue;
    if (!least || *value < *least) least = value;
    if (!most || *value > *most) most = value;
  }
  if (column.better == Better::kNone || least == most) return std::nullopt;
  return column.better == Better::kLess ? least : most;
}

}  // namespace

std::string table(const std::vector<Column>& columns, const std::vector<std::vector<Cell>>& rows) {
  std::string head, body;
  std::vector<std::optional<double>> best;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    head += fmt::format("<th scope=\"col\">{}</th>", escaped(columns[i].head));
    best.push_back(best_of(columns[i], rows, i));
  }
  for (const auto& row : rows) {
    body += "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i) {
      const auto& cell = row[i];
      const bool known = cell.value && !std::isnan(*cell.value);
      body += fmt::format("<td{}{}>{}</td>", known ? fmt::format(" data-value=\"{}\"", *cell.value) : "",
                          known && best[i] == cell.value ? " class=\"best\"" : "", escaped(cell.text));
    }
    body += "</tr>\n";
  }
  return fmt::format("<div class=\"wide\"><table>\n<thead><tr>{}</tr></thead>\n<tbody>\n{}</tbody>\n</table></div>\n",
                     head, body);
}

}  // namespace saccade::report
