#pragma once

#include <cstdint>
#include <span>

#include "saccade/attend/attend.h"
#include "saccade/base/team.h"

namespace saccade::llama {

/// One attention call as it was run by a plan: a causal run of queries, one pattern a head, its results in call.o.
/// Of a sliding-window layer, for judges that want those: keys and values are copies in the order of their positions,
/// and there is nothing behind those that the first query sees.
struct JudgedCall {
  const AttendCall& call;
  int layer;                   ///< -1: not known
  std::span<const int> heads;  ///< [call.q.n_heads]: which query head of the layer each head of the call is
  Team& team;                  ///< that the call ran on
  Pos window = 0;              ///< keys a query of a sliding-window layer sees, itself included; 0: no such layer
};

/// Looks at attention calls while a model runs, on the thread that runs it, and may take its time: the record's
/// attention_ns leaves it out, and judged_ns tells it. It must not change anything the call points at.
class Judge {
 public:
  virtual ~Judge() = default;
  /// Whether attention shall save its lse for the judge, in call.lse.
  virtual bool wants_lse() const { return false; }
  /// Whether it shall see sliding-window layers too, whose slots are not in the order of their positions.
  virtual bool wants_windows() const { return false; }
  /// A call that it will be shown is about to run on this thread: who is told about its rows meanwhile. `window`: of a
  /// sliding-window layer, and positions are those of its queries in the call, and of slots.
  virtual std::span<RowProbe* const> prepare(bool /*window*/) { return {}; }
  /// Errors: what it throws ends the computation of the batch.
  virtual void look(const JudgedCall& judged) = 0;
  /// A call ran that cannot be shown: nothing tells the positions of its slots.
  virtual void miss(int /*layer*/, Pos /*n_queries*/) {}
  /// A graph was planned in which attention of this layer runs here.
  virtual void expect(int /*layer*/) {}
};

/// From now on this judge looks at every call that runs by a plan; null: nobody does. Borrowed. Not while a model runs.
void set_judge(Judge* judge);

/// The judge; null: none.
Judge* judge_now();

/// Lets the judge look, if there is one. Returns the time it took, in ns.
std::int64_t show_to_judge(const JudgedCall& judged);

}  // namespace saccade::llama
