#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>

#include "saccade/where/where.h"

namespace saccade::python {

/// What one head of one sequence was given to look at, and for which call.
struct HeadPattern {
  WherePtr where;
  Range q_positions;
  Pos kv_len = 0;
};

/// Pairs of a query and a key that it sees. Cost: O(visits), and a bit a pair of those that are not full.
std::int64_t pairs_of(const HeadPattern& head);

/// bool [q_len, kv_len]: the definition, pair by pair. Errors: Fault::kUser where that is more than 2^28 of them.
nanobind::object mask_array_of(const HeadPattern& head);

/// Which keys each block of queries visits, as CSR: "keys" [n, 2] are half-open ranges, "full" [n] whether every query
/// of the block sees all of one; "begins" [blocks + 1] says where the block's own begin, "q_begins" [blocks] its first
/// position. Blocks begin at multiples of `block`. Errors: Fault::kUser unless block >= 1.
nanobind::dict visits_of(const HeadPattern& head, Pos block);

/// The pattern as its encoding has it (where/parts/), and under "kind" which that is: "blocks", "tokens",
/// "vertical_slash", "clusters", or "visits" of blocks of 64 queries for any other.
nanobind::dict arrays_of(const HeadPattern& head);

}  // namespace saccade::python
