#pragma once

#include <cmath>
#include <limits>
#include <span>

#include "saccade/combine/partial.h"

namespace saccade::weigh {

/// Weights that are positive and sum to 1: weight = exp(score - lse), lse = log sum exp(score).
/// Source: FlashAttention-2, arXiv:2307.08691, section 3.1.
struct Softmax {
  using Partial = saccade::Partial;  ///< how two results over disjoint keys join

  /// The normaliser of one row while it is walked, in fp64: `see` block after block, in any blocks.
  struct Online {
    double row_max = -std::numeric_limits<double>::infinity();
    double row_sum = 0.0;

    void see(std::span<const double> scores) {
      double high = row_max;
      for (const double score : scores) high = score > high || std::isnan(score) ? score : high;
      if (high == -std::numeric_limits<double>::infinity()) return;  // nothing seen yet: -inf - -inf would be NaN
      row_sum *= std::exp(row_max - high);
      for (const double score : scores) row_sum += std::exp(score - high);
      row_max = high;
    }
    /// Natural log; -inf when nothing was seen.
    double lse() const { return row_max + std::log(row_sum); }
  };

  static double weight(double score, double lse) { return std::exp(score - lse); }
  /// Scores are left as they are (AttendCall).
  float softcap() const { return 0.0F; }
  void fields(auto&) {}
};

}  // namespace saccade::weigh
