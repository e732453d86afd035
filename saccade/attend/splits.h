#pragma once

#include "saccade/attend/attend.h"
#include "saccade/attend/workspace.h"

namespace saccade::detail {

/// Leaves of a visit list the share of part `split` of `n_splits`: contiguous, cut at multiples of a block of keys,
/// about equal in number.
void take_share(VisitList& list, Pos split, Pos n_splits);

/// Where the splits of a call leave their rows until all are there.
class Partials {
 public:
  Partials(Layout& layout, const AttendCall& call, Pos n_splits);

  float* o(Pos split, Pos query, int head) const { return o_ + row(split, query, head) * head_dim_; }
  float& lse(Pos split, Pos query, int head) const { return lse_[row(split, query, head)]; }

  /// Joins the splits of every row, in order, into the call's o and lse.
  void merge_all(const AttendCall& call, Team& team) const;

 private:
  Pos row(Pos split, Pos query, int head) const { return (split * q_len_ + query) * n_heads_ + head; }
  Pos q_len_, n_heads_, head_dim_, n_splits_;
  float* o_;
  float* lse_;
};

}  // namespace saccade::detail
