#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "saccade/plan/plan.h"

namespace saccade {

/// What a plan answers for some heads of a layer.
struct Answer {
  Selection selection;       ///< a pattern for each of them; costs and counts are sums over the selectors asked
  std::int64_t n_asked = 0;  ///< heads that a selector chose for
};

/// Asks a selector for the query heads at these places of a call.
using AskSelector = std::function<Selection(const Choice& choice, std::span<const int> places)>;

/// Where query heads look under a plan: patterns at once; heads that share a selector are chosen for together, as `ask`
/// answers, in the order of their first.
///
/// Shapes    `heads`: the plan's number of each query head of the call; places count them from 0, ascending
/// Errors    those of `ask`
Answer ask_plan(const Plan& plan, int layer, std::span<const int> heads, const AskSelector& ask);

}  // namespace saccade
