#include "saccade/report/trade_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "saccade/report/axis.h"
#include "saccade/report/html.h"
#include "saccade/report/labels.h"

namespace saccade::report {
namespace {

constexpr double kWidth = 1060, kHeight = 540, kLeft = 62, kRight = 1040, kTop = 26, kBottom = 486, kLane = 84;
constexpr std::size_t kMostName = 40;

bool finite(const TradePoint& point) { return std::isfinite(point.error) && std::isfinite(point.gain); }

/// Where the values of a chart lie on the page.
struct Places {
  Axis x, y;
  bool lane = false;

  double at(double error) const { return error > 0 ? x.at(error) : kLeft + kLane / 2; }
};

Places places_of(const TradeChart& chart) {
  double least = INFINITY, most = 0, gain = 1;
  Places places;
  for (const auto& point : chart.points) {
    if (!finite(point)) continue;
    gain = std::max(gain, point.gain);
    places.lane = places.lane || point.error <= 0;
    if (point.error > 0) least = std::min(least, point.error), most = std::max(most, point.error);
  }
  for (const auto& limit : chart.limits)
    if (std::isfinite(limit.gain)) gain = std::max(gain, limit.gain);
  places.x = most > 0 ? Axis::powers_of_ten(least, most) : Axis::powers_of_ten(1e-3, 1);
  places.x.place(places.lane ? kLeft + kLane + 22 : kLeft + 22, kRight - 22);
  places.y = Axis::from_zero(1.06 * gain).place(kBottom, kTop);
  return places;
}

std::string line(const char* look, double x1, double y1, double x2, double y2) {
  return fmt::format("<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", look, x1, y1, x2,
                     y2);
}

std::string text(double x, double y, const char* look, const char* anchor, const std::string& content) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" class=\"{}\" text-anchor=\"{}\">{}</text>\n", x, y, look, anchor,
                     escaped(content));
}

std::string axes(const TradeChart& chart, const Places& places) {
  std::string marks;
  if (places.lane)
    marks += fmt::format("<rect class=\"wash\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n", kLeft, kTop, kLane,
                         kBottom - kTop);
  for (const auto& tick : places.y.ticks()) {
    const double y = places.y.at(tick.value);
    marks += line("grid", kLeft, y, kRight, y) + text(kLeft - 10, y + 4, "muted", "end", tick.text + "x");
  }
  for (const auto& tick : places.x.ticks()) {
    const double x = places.x.at(tick.value);
    marks += line("grid", x, kTop, x, kBottom) + text(x, kBottom + 18, "muted", "middle", tick.text);
  }
  if (places.lane) marks += text(kLeft + kLane / 2, kBottom + 18, "muted", "middle", "0");
  marks += line("axis", kLeft, kBottom, kRight, kBottom);
  marks += text((kLeft + kRight) / 2, kHeight - 10, "strong", "middle", chart.error_name);
  marks += text(kLeft - 50, 12, "strong", "start", chart.gain_name);
  return marks + text(kRight, 12, "muted", "end", "better: up and to the left");
}

/// Steps: up to each point of the front, the best that can be had for less error.
std::string front_line(const TradeChart& chart, const std::vector<bool>& front, const Places& places,
                       std::vector<Box>& taken) {
  std::vector<TradePoint> points;
  for (std::size_t i = 0; i < front.size(); ++i)
    if (front[i]) points.push_back(chart.points[i]);
  if (points.size() < 2) return "";
  std::ranges::sort(points, {}, &TradePoint::error);
  std::string path;
  double last_x = 0, last_y = 0;
  for (const auto& point : points) {
    const double x = places.at(point.error), y = places.y.at(point.gain);
    path += path.empty() ? fmt::format("M{:.1f} {:.1f}", x, y) : fmt::format("H{:.1f}V{:.1f}", x, y);
    if (&point != &points.front()) {
      taken.push_back({last_x, last_y - 3, x - last_x, 6});
      taken.push_back({x - 3, y, 6, last_y - y});
    }
    last_x = x, last_y = y;
  }
  return fmt::format("<path class=\"front\" d=\"{}\"/>\n", path);
}

std::string limit_lines(const TradeChart& chart, const Places& places, std::vector<Box>& taken) {
  std::string marks;
  for (const auto& limit : chart.limits) {
    if (!std::isfinite(limit.gain)) continue;
    const double y = places.y.at(limit.gain);
    const auto label =
        fmt::format("{}: {}x, no attention at all", shortened(limit.name, kMostName), number(limit.gain));
    marks += line("dash", kLeft, y, kRight, y) + text(kRight - 6, y - 6, "muted halo", "end", label);
    taken.push_back({kRight - 7.0 * static_cast<double>(length_of(label)), y - 18, 400, 22});
  }
  return marks;
}

/// A thin line from a mark to a label that stands apart from it.
std::string thread(const Labelled& mark, const Box& label) {
  const double x = std::clamp(mark.x, label.x, label.x + label.width),
               y = std::clamp(mark.y, label.y, label.y + label.height);
  return std::hypot(x - mark.x, y - mark.y) < 14 ? "" : line("thread", mark.x, mark.y, x, y);
}

std::string missing(const TradeChart& chart) {
  std::string names;
  for (const auto& point : chart.points)
    if (!finite(point)) names += (names.empty() ? "" : ", ") + point.name;
  return names.empty()
             ? ""
             : fmt::format("<p class=\"note\">Not drawn, because a number is not finite: {}</p>\n", escaped(names));
}

}  // namespace

std::vector<bool> pareto_front(const std::vector<TradePoint>& points) {
  std::vector<bool> front;
  for (const auto& point : points)
    front.push_back(finite(point) && std::ranges::none_of(points, [&](const TradePoint& other) {
                      return finite(other) && other.error <= point.error && other.gain >= point.gain &&
                             (other.error < point.error || other.gain > point.gain);
                    }));
  return front;
}

std::string trade_chart(const TradeChart& chart) {
  const Places places = places_of(chart);
  const auto front = pareto_front(chart.points);
  std::vector<Box> taken;
  std::string marks = axes(chart, places);
  marks += limit_lines(chart, places, taken);
  marks += front_line(chart, front, places, taken);
  std::vector<std::size_t> drawn;
  std::vector<Labelled> wanted;
  for (std::size_t i = 0; i < chart.points.size(); ++i) {
    const auto& point = chart.points[i];
    if (!finite(point)) continue;
    drawn.push_back(i);
    wanted.push_back({.x = places.at(point.error),
                      .y = places.y.at(point.gain),
                      .width = 7.1 * static_cast<double>(length_of(shortened(point.name, kMostName)))});
  }
  const auto labels = place_labels(wanted, {kLeft, kTop, kWidth - kLeft, kBottom - kTop}, taken);
  for (std::size_t i = 0; i < drawn.size(); ++i) marks += thread(wanted[i], labels[i]);
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    const auto& point = chart.points[drawn[i]];
    marks += fmt::format(
        "<g><title>{}</title><circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"/>"
        "<text class=\"name halo{}\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text></g>\n",
        escaped(point.hint), front[drawn[i]] ? "best" : "other", wanted[i].x, wanted[i].y, front[drawn[i]] ? 7 : 5.5,
        front[drawn[i]] ? " strong" : "", labels[i].x, labels[i].y + 11, escaped(shortened(point.name, kMostName)));
  }
  return fmt::format(
      "<div class=\"wide\"><svg viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
      "role=\"img\">\n{2}</svg></div>\n{3}",
      kWidth, kHeight, marks, missing(chart));
}

}  // namespace saccade::report
