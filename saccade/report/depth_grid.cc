#include "saccade/report/depth_grid.h"

#include <fmt/format.h>

#include <algorithm>

#include "saccade/report/html.h"

namespace saccade::report {
namespace {

constexpr double kStep = 34, kSide = 28, kTop = 44, kSums = 62;
constexpr std::size_t kMostName = 44;

/// Monospaced, 11.5 px.
double width_of(const std::string& name) { return 7.0 * static_cast<double>(length_of(name)); }

std::string square(double x, double y, const GridCell& cell) {
  const auto mark = cell.yes ? fmt::format("<path class=\"tick\" d=\"M{} {}l4.5 5l8 -10\"/>", x + 7.5, y + 14.5)
                             : fmt::format("<path class=\"cross\" d=\"M{0} {1}l8 8m0 -8l-8 8\"/>", x + 10, y + 10);
  return fmt::format(
      "<g><title>{}</title><rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"5\"{}/>{}</g>\n",
      escaped(cell.hint), cell.yes ? "yes" : "no", x, y, kSide, kSide, cell.yes ? "" : " pointer-events=\"all\"", mark);
}

std::string text(double x, double y, const char* look, const std::string& content) {
  return fmt::format("<text x=\"{}\" y=\"{}\" class=\"{}\">{}</text>\n", x, y, look, escaped(content));
}

std::string centred(double x, double y, const char* look, const std::string& content) {
  return fmt::format("<text x=\"{}\" y=\"{}\" class=\"{}\" text-anchor=\"middle\">{}</text>\n", x, y, look,
                     escaped(content));
}

}  // namespace

std::string depth_grid(const std::vector<std::string>& heads, const std::string& heads_name,
                       const std::vector<GridRow>& rows) {
  double left = 60;
  for (const auto& row : rows) left = std::max(left, 14 + width_of(shortened(row.name, kMostName)));
  const double right = left + kStep * static_cast<double>(heads.size()),
               bottom = kTop + kStep * static_cast<double>(rows.size());
  std::string marks = centred((left + right) / 2, 12, "muted", heads_name);
  for (std::size_t i = 0; i < heads.size(); ++i) {
    const double x = left + kStep * static_cast<double>(i);
    marks += centred(x + kSide / 2, kTop - 10, "muted", heads[i]);
    const auto found = std::ranges::count_if(rows, [&](const auto& row) { return row.cells[i].yes; });
    if (rows.size() > 1) marks += centred(x + kSide / 2, bottom + 14, "muted", std::to_string(found));
  }
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const double y = kTop + kStep * static_cast<double>(r), base = y + kSide / 2 + 4;
    marks += fmt::format("<g><title>{}</title><text x=\"0\" y=\"{}\" class=\"name\">{}</text></g>\n",
                         escaped(rows[r].name), base, escaped(shortened(rows[r].name, kMostName)));
    for (std::size_t i = 0; i < rows[r].cells.size(); ++i)
      marks += square(left + kStep * static_cast<double>(i), y, rows[r].cells[i]);
    const auto found = std::ranges::count_if(rows[r].cells, &GridCell::yes);
    marks += text(right + 8, base, "strong", fmt::format("{}/{}", found, rows[r].cells.size()));
  }
  if (rows.size() > 1) marks += text(0, bottom + 14, "muted", fmt::format("found by, of {}", rows.size()));
  return fmt::format(
      "<div class=\"wide\"><svg viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\">\n{2}</svg></div>\n",
      right + kSums, bottom + 24, marks);
}

}  // namespace saccade::report
