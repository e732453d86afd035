#include "saccade/report/mass_panels.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "saccade/report/axis.h"
#include "saccade/report/html.h"

namespace saccade::report {
namespace {

constexpr double kWidth = 330, kHeight = 250, kLeft = 38, kRight = 318, kTop = 12, kBottom = 208;

bool finite(const HeadDot& dot) { return std::isfinite(dot.density) && std::isfinite(dot.mass); }

double least_density(const std::vector<MassPanel>& panels) {
  double least = 0.5;
  for (const auto& panel : panels)
    for (const auto& dot : panel.dots)
      if (finite(dot) && dot.density > 0) least = std::min(least, dot.density);
  return least;
}

int n_layers(const std::vector<MassPanel>& panels) {
  int n = 1;
  for (const auto& panel : panels)
    for (const auto& dot : panel.dots) n = std::max(n, dot.layer + 1);
  return n;
}

/// Which third of the model a layer is in: 0, 1 or 2.
int third_of(int layer, int layers) { return std::clamp(3 * layer / layers, 0, 2); }

std::string mark(int third, double x, double y, const std::string& inside) {
  switch (third) {
    case 0:
      return fmt::format("<circle class=\"early\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.4\">{}</circle>", x, y, inside);
    case 1:
      return fmt::format("<rect class=\"middle\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"6\" height=\"6\">{}</rect>", x - 3,
                         y - 3, inside);
    default:
      return fmt::format("<path class=\"late\" d=\"M{:.1f} {:.1f}l4 7h-8z\">{}</path>", x, y - 4.4, inside);
  }
}

std::string axes(const Axis& x, const Axis& y) {
  std::string marks;
  for (const auto& tick : y.ticks())
    marks += fmt::format(
        "<line class=\"grid\" x1=\"{0}\" y1=\"{1:.1f}\" x2=\"{2}\" y2=\"{1:.1f}\"/>"
        "<text class=\"muted\" x=\"{3}\" y=\"{4:.1f}\" text-anchor=\"end\">{5}</text>\n",
        kLeft, y.at(tick.value), kRight, kLeft - 7, y.at(tick.value) + 4, tick.text);
  for (const auto& tick : x.ticks())
    marks += fmt::format(
        "<line class=\"grid\" x1=\"{0:.1f}\" y1=\"{1}\" x2=\"{0:.1f}\" y2=\"{2}\"/>"
        "<text class=\"muted\" x=\"{0:.1f}\" y=\"{3}\" text-anchor=\"middle\">{4}</text>\n",
        x.at(tick.value), kTop, kBottom, kBottom + 17, tick.text);
  marks += fmt::format("<text class=\"muted\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">density</text>\n",
                       (kLeft + kRight) / 2, kHeight - 8);
  return marks;
}

/// mass = density, which bends on a logarithmic axis.
std::string blind_line(const Axis& x, const Axis& y) {
  std::string path;
  const double least = x.low();
  for (int i = 0; i <= 32; ++i) {
    const double density = std::pow(least, 1 - i / 32.0);
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x.at(density), y.at(density));
  }
  return fmt::format("<path class=\"dash\" d=\"{}\"/>\n", path);
}

std::string worst_label(const HeadDot& worst, double x, double y) {
  const bool left = x > (kLeft + kRight) / 2;
  return fmt::format(
      "<text class=\"halo strong\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">layer {}, head {}</text>\n",
      left ? x - 8 : x + 8, std::min(y + 4, kBottom - 4), left ? "end" : "start", worst.layer, worst.head);
}

std::string panel_of(const MassPanel& panel, const Axis& x, const Axis& y, int layers) {
  std::string marks = axes(x, y) + blind_line(x, y);
  double mass = 0, density = 0;
  int n = 0;
  const HeadDot* worst = nullptr;
  for (const auto& dot : panel.dots) {
    if (!finite(dot)) continue;
    ++n, mass += dot.mass, density += dot.density;
    if (worst == nullptr || dot.mass < worst->mass) worst = &dot;
    marks += mark(third_of(dot.layer, layers), x.at(dot.density), y.at(dot.mass),
                  fmt::format("<title>{}</title>", escaped(dot.hint))) +
             "\n";
  }
  std::string summary = "nothing measured";
  if (worst != nullptr) {
    summary = fmt::format("mass {} on average, {} at worst; density {}", number(mass / n), number(worst->mass),
                          number(density / n));
    if (worst->mass < 0.995) marks += worst_label(*worst, x.at(worst->density), y.at(worst->mass));
  }
  return fmt::format("<div><h3>{}</h3><p>{}</p><svg viewBox=\"0 0 {} {}\" role=\"img\">\n{}</svg></div>\n",
                     escaped(panel.name), escaped(summary), kWidth, kHeight, marks);
}

std::string legend(int layers) {
  std::string marks;
  const auto first_of = [&](int third) { return (third * layers + 2) / 3; };
  for (int third = 0; third < 3; ++third) {
    const double x = 8 + 130 * third;
    const int from = first_of(third), to = first_of(third + 1) - 1;
    if (from > to) continue;
    marks += mark(third, x, 10, "") + fmt::format("<text x=\"{}\" y=\"14\">layers {} to {}</text>\n", x + 12, from, to);
  }
  marks +=
      "<path class=\"dash\" d=\"M404 10h34\"/><text x=\"446\" y=\"14\">mass = density: what a blind choice "
      "catches</text>\n";
  return "<svg viewBox=\"0 0 740 22\" width=\"740\" height=\"22\" role=\"img\">\n" + marks + "</svg>\n";
}

}  // namespace

std::string mass_panels(const std::vector<MassPanel>& panels) {
  const Axis x = Axis::halves_of_one(least_density(panels)).place(kLeft, kRight);
  const Axis y = Axis::from_zero(1).place(kBottom, kTop);
  const int layers = n_layers(panels);
  std::string markup;
  for (const auto& panel : panels) markup += panel_of(panel, x, y, layers);
  return legend(layers) + "<div class=\"panels\">\n" + markup + "</div>\n";
}

}  // namespace saccade::report
