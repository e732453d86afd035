#include "saccade/report/labels.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace saccade::report {
namespace {

constexpr double kMark = 8;      ///< half the side of the square that a mark takes
constexpr double kThread = 400;  ///< square pixels, about four letters

/// Right, left, above, below, and the corners between them, at growing distance.
std::vector<Box> candidates(const Labelled& mark) {
  std::vector<Box> boxes;
  for (const double away : {10.0, 20.0, 34.0, 50.0, 68.0}) {
    const double right = mark.x + away, left = mark.x - away - mark.width, middle = mark.y - mark.height / 2,
                 above = mark.y - away - mark.height, below = mark.y + away, centre = mark.x - mark.width / 2;
    const double slant = 0.7 * away, up = mark.y - slant - mark.height / 2, down = mark.y + slant - mark.height / 2;
    for (const auto& [x, y] : {std::pair{right, middle},
                               {left, middle},
                               {right, up},
                               {left, up},
                               {right, down},
                               {left, down},
                               {centre, above},
                               {centre, below}})
      boxes.push_back({x, y, mark.width, mark.height});
  }
  return boxes;
}

/// The label's point that is nearest to its mark.
std::pair<double, double> end_of_thread(const Labelled& mark, const Box& label) {
  return {std::clamp(mark.x, label.x, label.x + label.width), std::clamp(mark.y, label.y, label.y + label.height)};
}

/// How near the line from a mark to its label passes by another mark.
double passes_by(const Labelled& mark, const Box& label, const Labelled& other) {
  const auto [x, y] = end_of_thread(mark, label);
  const double dx = x - mark.x, dy = y - mark.y, square = dx * dx + dy * dy;
  const double along =
      square > 0 ? std::clamp(((other.x - mark.x) * dx + (other.y - mark.y) * dy) / square, 0.0, 1.0) : 0.0;
  return std::hypot(mark.x + along * dx - other.x, mark.y + along * dy - other.y);
}

double outside(const Box& box, const Box& room) { return box.width * box.height - overlap(box, room); }

}  // namespace

double overlap(const Box& a, const Box& b) {
  const double width = std::min(a.x + a.width, b.x + b.width) - std::max(a.x, b.x);
  const double height = std::min(a.y + a.height, b.y + b.height) - std::max(a.y, b.y);
  return std::max(0.0, width) * std::max(0.0, height);
}

std::vector<Box> place_labels(const std::vector<Labelled>& marks, const Box& room, const std::vector<Box>& taken) {
  std::vector<Box> used = taken, placed;
  for (const auto& mark : marks) used.push_back({mark.x - kMark, mark.y - kMark, 2 * kMark, 2 * kMark});
  for (const auto& mark : marks) {
    const auto cost = [&](const Box& box) {
      double covered = 4 * outside(box, room);
      for (const auto& other : used) covered += overlap(box, other);
      // A thread that runs through another mark points at the wrong one: worse than a letter that is covered.
      for (const auto& other : marks)
        if (&other != &mark && passes_by(mark, box, other) < kMark) covered += kThread;
      const auto [x, y] = end_of_thread(mark, box);
      return covered + std::hypot(x - mark.x, y - mark.y);
    };
    const auto boxes = candidates(mark);
    placed.push_back(*std::ranges::min_element(boxes, {}, cost));
    used.push_back(placed.back());
  }
  return placed;
}

}  // namespace saccade::report
