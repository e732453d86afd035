#pragma once

#include <cstdint>
#include <vector>

#include "saccade/base/view.h"

namespace saccade {

/// Keys that a block of queries looks at. `full`: every query of the block sees every one of them, so that no element
/// mask is needed; otherwise `Where::mask` says which query sees which key.
struct Visit {
  Range keys;
  bool full = false;
  bool operator==(const Visit&) const = default;
};

/// Sorted by position, disjoint, half-open, no empty ranges.
using VisitList = std::vector<Visit>;

/// Keys in a or in b; full where either is. Source: FlexAttention's block lists, arXiv:2412.05496.
VisitList unite(const VisitList& a, const VisitList& b);

/// Keys in a and in b; full where both are.
VisitList intersect(const VisitList& a, const VisitList& b);

/// Cuts what lies outside `keys` off the list, in place.
void clip(VisitList& list, Range keys);

/// The visits of a pattern under which query q sees exactly the keys [first(q), last(q)), where both ends never move
/// backwards as q grows: all of the block see [first(q_last), last(q_first)), some see the ragged ends.
/// Replaces `out`. Cost O(1).
void visits_of_interval(Range keys_of_first_query, Range keys_of_last_query, VisitList& out);

/// The mask of a query that sees exactly the keys in `seen`, over `keys`: as Where::mask.
/// Cost: a few instructions for each 32 keys.
void mask_of_interval(Range seen, Range keys, std::uint32_t* words);

}  // namespace saccade
