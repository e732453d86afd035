#pragma once

#include <cstddef>
#include <vector>

namespace saccade {

/// One way to serve a head.
struct Offer {
  double cost = 0;   ///< in any unit, the same for all heads; >= 0
  double error = 0;  ///< what it would do wrong, so that errors of heads add up; >= 0
};

/// Picks one offer for each head, so that the costs together stay within `budget` and the errors together are small.
///
/// Of each head only the lower convex hull of (cost, error) counts; all heads begin at its cheap end and the steps that
/// save most error for their cost are taken until the next does not fit; steps of other heads that still fit follow.
///
/// Shapes    offers[head]: at least one; the result: an index into each
/// Requires  finite numbers
/// Returns   nothing when even the cheapest offers cost more than the budget
/// Accuracy  the error is at most one step's away from the least there is (that of the linear relaxation); of equal
///           steps the earlier head's is taken
/// Cost      O(n log n) for n offers
/// Source    the greedy solution of the multiple-choice knapsack: Sinha and Zoltners, Operations Research 27 (1979)
std::vector<std::size_t> allot(const std::vector<std::vector<Offer>>& offers, double budget);

/// The same the other way round: steps are taken, the best first, until the errors together are at most `error`. Where
/// they never are, every head gets the offer with its least error.
///
/// Accuracy  the cost is at most one step's away from the least there is
std::vector<std::size_t> allot_within(const std::vector<std::vector<Offer>>& offers, double error);

}  // namespace saccade
