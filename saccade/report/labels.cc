#include "saccade/report/labels.h"

#include <algorithm>

namespace saccade::report {
namespace {

constexpr double kMark = 8;  ///< half the side of the square that a mark takes

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
      return covered;
    };
    const auto boxes = candidates(mark);
    placed.push_back(*std::ranges::min_element(boxes, {}, cost));
    used.push_back(placed.back());
  }
  return placed;
}

}  // namespace saccade::report
