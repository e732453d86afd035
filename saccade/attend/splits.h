#pragma once

#include <span>

#include "saccade/attend/attend.h"
#include "saccade/attend/edge.h"
#include "saccade/attend/row_record.h"
#include "saccade/attend/workspace.h"
#include "saccade/combine/partial.h"

namespace saccade::detail {

/// The share of a visit list that is part `split` of `n_splits`: contiguous, cut at multiples of a block of keys, about
/// equal in number.
VisitList share_of(const VisitList& list, Pos split, Pos n_splits);

/// Joins the head's sink score, if the call has any, into a row that has seen all its keys.
inline void add_sink(const AttendCall& call, int head, Partial& row) {
  if (call.sink_scores.empty() || is_uniform(call, head)) return;
  merge_score(row, call.sink_scores[static_cast<std::size_t>(head)]);
}

/// Where the splits of a call leave their rows until all are there.
class Partials {
 public:
  /// `wants`: what probes want to know; null: nothing.
  Partials(Layout& layout, const AttendCall& call, Pos n_splits, const RowWants* wants);

  float* o(Pos split, Pos query, int head) const { return o_ + row(split, query, head) * v_dim_; }
  float& lse(Pos split, Pos query, int head) const { return lse_[row(split, query, head)]; }

  /// What was noted of a row. Requires `wants`.
  float* record(Pos split, Pos query, int head) const { return records_ + row(split, query, head) * record_width_; }

  /// Joins the splits of every row, in order, and its sink score into the call's o and lse. `tellers`: one a worker, if
  /// there are probes to be told; else empty.
  void merge_all(const AttendCall& call, Team& team, std::span<RowTeller> tellers) const;

 private:
  Pos row(Pos split, Pos query, int head) const { return (split * q_len_ + query) * n_heads_ + head; }
  Pos q_len_, n_heads_, v_dim_, n_splits_;
  float* o_;
  float* lse_;
  Pos record_width_;
  float* records_;
};

}  // namespace saccade::detail
