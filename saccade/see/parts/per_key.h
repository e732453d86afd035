#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "saccade/see/probe.h"

namespace saccade::see {

/// A number for each key of each head, zero at first; grows as the batches of a prompt come. In f64: a column of a long
/// prompt adds up as many weights as there are queries.
class PerKey {
 public:
  /// Makes room for the shape's keys. Errors: std::bad_alloc.
  void grow(const LookShape& shape) {
    kv_len_ = std::max(kv_len_, shape.kv_len);
    heads_.resize(static_cast<std::size_t>(shape.n_heads));
    for (auto& head : heads_) head.resize(static_cast<std::size_t>(kv_len_), 0.0);
  }
  Pos kv_len() const { return kv_len_; }
  int n_heads() const { return static_cast<int>(heads_.size()); }
  std::span<const double> head(int head) const { return heads_[static_cast<std::size_t>(head)]; }

  /// Adds to the keys from `begin` on.
  void add(int head, Pos begin, std::span<const float> sums) {
    double* at = heads_[static_cast<std::size_t>(head)].data() + begin;
    for (std::size_t i = 0; i < sums.size(); ++i) at[i] += static_cast<double>(sums[i]);
  }

 private:
  Pos kv_len_ = 0;
  std::vector<std::vector<double>> heads_;
};

}  // namespace saccade::see
