#pragma once

#include <cmath>

#include "saccade/see/parts/per_row.h"
#include "saccade/see/row_probe.h"

namespace saccade::see {

/// How much a head says: the Euclidean norm of its output, before the output projection.
///   norm[query] = sqrt(sum o^2)
///
/// Units     as the values
/// Accuracy  o's, and one rounding
/// Cost      head_dim_v multiply-adds a row; 4 bytes a query and head
/// Source    steer-and-see, PR8; Kobayashi et al. 2020, "Attention is Not Only a Weight", arXiv:2004.10102
class Norms final : public RowProbe {
 public:
  void fields(auto&) {}
  void begin(const LookShape& shape) override { values_.grow(shape); }
  void take(const RowSeen& row) override {
    double squares = 0.0;
    for (const float o : row.o) squares += static_cast<double>(o) * static_cast<double>(o);
    *values_.row(row.head, row.q_position) = static_cast<float>(std::sqrt(squares));
  }

  /// One number a query and head.
  const PerRow& values() const { return values_; }

 private:
  PerRow values_;
};

}  // namespace saccade::see
