#pragma once

#include <cmath>
#include <limits>

#include "saccade/attend/schedule.h"

namespace saccade::detail {

/// The rows of an item: every query of a block in every head of a set, query by query.
struct RowMap {
  const HeadSet* set = nullptr;
  Range q_rows;  ///< queries of the call

  Pos n_heads() const { return static_cast<Pos>(set->heads.size()); }
  Pos size() const { return q_rows.size() * n_heads(); }
  Pos query(Pos row) const { return q_rows.begin + row / n_heads(); }
  int head(Pos row) const { return set->heads[static_cast<std::size_t>(row % n_heads())]; }
};

/// The natural lse of a running softmax kept in base 2; -inf when it saw nothing.
inline float lse_of(float row_max, float row_sum) {
  if (row_sum == 0) return -std::numeric_limits<float>::infinity();
  constexpr double kLn2 = 0.6931471805599453;
  return static_cast<float>(static_cast<double>(row_max) * kLn2 + std::log(static_cast<double>(row_sum)));
}

}  // namespace saccade::detail
