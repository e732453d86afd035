#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "saccade/see/probe.h"

namespace saccade::see {

/// Numbers for each query of each head, zero at first; grows as the batches of a prompt come.
class PerRow {
 public:
  /// Makes room for the shape's queries, `width` numbers each. Errors: std::bad_alloc.
  void grow(const LookShape& shape, Pos width = 1) {
    if (heads_.empty()) positions_ = {shape.q_positions.begin, shape.q_positions.begin}, width_ = width;
    heads_.resize(static_cast<std::size_t>(shape.n_heads));
    positions_.end = std::max(positions_.end, shape.q_positions.end);
    for (auto& head : heads_) head.resize(static_cast<std::size_t>(positions_.size() * width_), 0.0F);
  }

  /// The queries there are, from the first that was ever seen on.
  Range q_positions() const { return positions_; }
  Pos width() const { return width_; }
  int n_heads() const { return static_cast<int>(heads_.size()); }

  /// [q_positions().size(), width]
  std::span<const float> head(int head) const { return heads_[static_cast<std::size_t>(head)]; }
  const float* row(int head, Pos q_position) const { return this->head(head).data() + offset(q_position); }
  float* row(int head, Pos q_position) { return heads_[static_cast<std::size_t>(head)].data() + offset(q_position); }

 private:
  Pos offset(Pos q_position) const { return (q_position - positions_.begin) * width_; }

  Range positions_;
  Pos width_ = 1;
  std::vector<std::vector<float>> heads_;  // one allocation each: workers write to different heads
};

}  // namespace saccade::see
