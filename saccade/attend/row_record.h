#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "saccade/attend/attend.h"
#include "saccade/see/row_probe.h"

namespace saccade::detail {

/// A row's notes while its softmax is still under way, or over some of its keys only: numbers in a row of floats, so
/// that splits can leave them side by side.
///
///   row_max, row_sum          as the kernels keep them: maximum in units of log2, sum of weights relative to it
///   log_sum, distance_sum     sums of weight log2(weight) and weight (q_pos - k_pos), weights relative to the maximum
///   masses, clipped           likewise sums, one a span and one a clip
///   diagonals                 scores in units of log2; -inf: none
///   top scores and positions  best first; -inf: none
struct RecordShape {
  explicit RecordShape(const RowWants& wants)
      : n_masses(static_cast<Pos>(wants.spans.size())),
        n_clipped(static_cast<Pos>(wants.clips.size())),
        n_diagonals(static_cast<Pos>(wants.offsets.size())),
        n_top(wants.n_top) {}

  static constexpr Pos kRowMax = 0, kRowSum = 1, kLogSum = 2, kDistanceSum = 3, kMasses = 4;
  Pos clipped() const { return kMasses + n_masses; }
  Pos diagonals() const { return clipped() + n_clipped; }
  Pos top_scores() const { return diagonals() + n_diagonals; }
  Pos top_positions() const { return top_scores() + n_top; }
  Pos width() const { return top_positions() + n_top; }

  Pos n_masses, n_clipped, n_diagonals, n_top;
};

/// Joins the record of other keys of the same row into `into`: what `merge` does for Partial.
void merge_records(const RecordShape& shape, float* into, const float* from);

/// Tells the probes of a call about its rows. One a worker.
class RowTeller {
 public:
  RowTeller(const AttendCall& call, const RowWants& wants);
  RowTeller(RowTeller&&) = default;  // what is told lies in its own vectors, which a copy would not have

  const RecordShape& shape() const { return shape_; }
  /// Room for one record.
  float* scratch() { return scratch_.data(); }
  /// A row is complete: its record, its lse with the sink score in it, and its o.
  void tell(const float* record, Pos query, int head, float lse, std::span<const float> o);

 private:
  void normalise(const float* record, double weight_of_max);

  const AttendCall& call_;
  RecordShape shape_;
  bool entropy_, distance_;               // wanted
  std::vector<float> scratch_, numbers_;  // [width]; masses, clipped and diagonals
  std::vector<WeightedKey> top_;
  RowSeen seen_;
};

}  // namespace saccade::detail
