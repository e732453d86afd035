#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <utility>

#include "saccade/attend/attend.h"
#include "saccade/plan/plan.h"
#include "saccade/see/probe.h"
#include "saccade/where/parts/memory.h"

namespace saccade {

/// What one layer keeps from call to call of one text, so that a step looks only at what is new: what its selectors
/// remember of the keys, and whether choosing has paid. One per layer and text, one call at a time.
struct LayerMemory {
  KeyMemory keys;
  /// By the plan's choice, for prompts and (true) for single queries. To be dropped with the plan.
  std::map<std::pair<const Choice*, bool>, Foresight> foresight;
};

/// One call of attention whose heads look where a plan says.
struct PlannedCall {
  /// `where` empty: the plan's choice is made; else these are used in its place. `edits` empty: the plan's. `precision`
  /// kAuto: the plan's own. `bias` may be anything anywhere here: it is read wherever a query sees a key, and its -inf
  /// hides from every pattern. `lse` and the rest as in AttendCall.
  AttendCall attend;
  int layer = 0;
  /// The number that each query head has in the plan, where the call has only some of a layer's heads; empty: 0, 1, ...
  /// and then every row of the plan must name heads there are.
  std::span<const int> heads;
  /// Off: every query sees every key, or all that the bias does not hide. Only for the plan `dense`, or with `where`,
  /// which then says alone who sees whom.
  bool causal = true;
  /// Off: heads are never run dense because selecting would not pay (SelectCall::fallbacks).
  bool fallbacks = true;
  LayerMemory* memory = nullptr;  ///< null: nothing is remembered
  /// Who looks a second time when attention is done (attend/look.h), for what no row knows by itself. Needs `lse`.
  std::span<Probe* const> second_looks;
  /// Asked now and then on the calling thread, if given; once it says true, what is left of selection, attention and
  /// second looks is skipped and the call ends with Fault::kUser.
  std::function<bool()> stop;
};

/// What a planned call did.
struct PlannedCost {
  AttendCost attend;
  SelectCost select;
  std::int64_t pairs_dense = 0;  ///< pairs without any pattern: the denominator of a density
  /// Query heads that a selector chose for, and of those the ones that ran dense after all (Selection).
  std::int64_t heads_chosen = 0, heads_dense_by_rule = 0, heads_dense_by_floor = 0, heads_dense_by_cost = 0;

  PlannedCost& operator+=(const PlannedCost& more);
};

/// Where each query head of the call looks under the plan: patterns at once, selectors after they looked. What the
/// call's bias hides is not taken off.
///
/// Shapes    of_head [n_heads]; heads that share a choice share the pointer
/// Requires  of the call only q, k, kv_head, q_begin, scale, softcap and what stands beside `attend` are read
/// Errors    Fault::kUser, one line: a shape that attend would refuse; a plan row for a head there is not; `causal` off
///           with a plan other than dense; a selector whose queries lie behind the last key; `stop`. Fault::kMachine:
///           memory
/// Cost      the selectors' own (Selection::cost); patterns cost nothing
Selection choose(const Plan& plan, const PlannedCall& call, Team& team);

/// Attention by a plan: makes each head's choice, then attends, as saccade::attend(call), and shows the probes.
///   o, lse = softmax attention over the keys that the head's choice shows and the bias does not hide
///
/// Shapes    as AttendCall; bias [q_len, kv_len]
/// Units     lse in natural log; a row that sees no key has o = 0, lse = its sink score, or -inf
/// Requires  what saccade::attend requires, `where` and where a bias may lie excepted
/// Errors    those of `choose` above, of saccade::attend, and of `stop`
/// Accuracy  that of saccade::attend on what was chosen
/// Cost      selection, then attention over the chosen keys; with a bias one more reading of it and a byte for each 32
///           queries by 128 keys; a second look costs what look() does. Same inputs, memory, team size and CPU target
///           give the same bits, with and without probes.
/// Source    docs/decisions/0009-choices.md
PlannedCost attend(const Plan& plan, const PlannedCall& call, Team& team, Workspace& workspace);

}  // namespace saccade
