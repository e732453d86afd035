#pragma once

#include <utility>

#include "saccade/where/where.h"

namespace saccade {

/// A choice held on for the queries after it: they see what the query at `at` saw, and every key that came since.
///
/// Requires  queries after `at`; a causal pattern
/// Cost      that of the pattern for one query
class Held final : public Where {
 public:
  Held(WherePtr where, Pos at) : where_(std::move(where)), at_(at) {}

  bool admits(Pos q_pos, Pos k_pos) const override;
  void visits(Range q_block, VisitList& out) const override;
  void mask(Pos q_pos, Range keys, std::uint32_t* words) const override;

 private:
  WherePtr where_;
  Pos at_;
};

}  // namespace saccade
