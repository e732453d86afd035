#pragma once

#include <span>
#include <vector>

#include "saccade/judge/mass.h"
#include "saccade/where/parts/scores.h"

namespace saccade::judge {

/// What a pattern would make of the rows of a trial.
struct TrialOutcome {
  std::vector<double> mass;   ///< [n]: share of dense attention's weight that lies on the keys that it shows
  std::vector<double> delta;  ///< [n, dim_v]: o of the pattern less o_dense
};

/// A few rows of one head, on which any number of patterns can be tried without running attention for each: weights and
/// weighted values are summed over blocks of 64 keys once, and a pattern adds up the blocks that it shows whole.
class TrialRows {
 public:
  /// Shapes, requires, errors  as dense_rows
  /// Cost      as dense_rows, and as much again; memory O(rows x kv_len + rows x kv_len / 64 x dim_v + kv_len x dim_v)
  TrialRows(const AttendCall& call, int head, std::span<const Pos> rows, Team& team);

  /// What softmax over the shown keys alone gives; a row that is shown nothing gives 0.
  ///
  /// Requires  a pattern that is causal
  /// Errors    none; NaN and inf stay in the rows that look at them
  /// Accuracy  f32 weights and products of them with values, summed in f32 within 64 keys and in f64 over them
  /// Cost      one mask a row, and one addition of dim_v numbers for each block shown whole and each other key shown
  TrialOutcome with(const Where& where) const;

  const DenseRows& dense() const { return dense_; }

 private:
  static constexpr Pos kBlock = 64;
  Pos n_blocks() const { return (dense_.kv_len + kBlock - 1) / kBlock; }
  const float* sums(Pos row, Pos block) const;

  DenseRows dense_;
  Rows values_;              ///< [kv_len, dim_v]
  std::vector<float> sums_;  ///< [n, n_blocks, 1 + dim_v]: weight, and weight times value
};

}  // namespace saccade::judge
