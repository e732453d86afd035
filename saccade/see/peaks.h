#pragma once

#include "saccade/see/parts/per_row.h"
#include "saccade/see/row_probe.h"

namespace saccade::see {

/// What each row's softmax is normalised by, and its largest score: exp(largest - lse) is the largest weight.
///   lse = log(sum exp(score) + exp(sink score));  largest = max score, over the keys; -inf where a row sees none
///
/// Units     natural log
/// Accuracy  as attend's lse
/// Cost      none; 8 bytes a query and head
/// Source    steer-and-see, PR1; FlashAttention-2, arXiv:2307.08691, section 3.1
class Peaks final : public RowProbe {
 public:
  void fields(auto&) {}
  void begin(const LookShape& shape) override {
    lse_.grow(shape);
    largest_.grow(shape);
  }
  void take(const RowSeen& row) override {
    *lse_.row(row.head, row.q_position) = row.lse;
    *largest_.row(row.head, row.q_position) = row.max_score;
  }

  /// One number a query and head.
  const PerRow& lse() const { return lse_; }
  const PerRow& largest() const { return largest_; }

 private:
  PerRow lse_, largest_;
};

}  // namespace saccade::see
