#pragma once

#include <cstdint>
#include <span>

#include "saccade/attend/attend.h"
#include "saccade/base/team.h"

namespace saccade::llama {

/// One attention call as it was run by a plan: a causal run of queries, one pattern a head, its results in call.o.
struct JudgedCall {
  const AttendCall& call;
  int layer;                   ///< -1: not known
  std::span<const int> heads;  ///< [call.q.n_heads]: which query head of the layer each head of the call is
  Team& team;                  ///< that the call ran on
};

/// Looks at attention calls while a model runs, on the thread that runs it, and may take its time: the record's
/// attention_ns leaves it out, and judged_ns tells it. It must not change anything the call points at.
class Judge {
 public:
  virtual ~Judge() = default;
  /// Whether attention shall save its lse for the judge, in call.lse.
  virtual bool wants_lse() const { return false; }
  /// Errors: what it throws ends the computation of the batch.
  virtual void look(const JudgedCall& judged) = 0;
};

/// From now on this judge looks at every call that runs by a plan; null: nobody does. Borrowed. Not while a model runs.
void set_judge(Judge* judge);

/// Whether there is a judge, and it wants lse.
bool judge_wants_lse();

/// Lets the judge look, if there is one. Returns the time it took, in ns.
std::int64_t show_to_judge(const JudgedCall& judged);

}  // namespace saccade::llama
