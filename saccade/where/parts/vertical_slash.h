#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "saccade/where/where.h"

namespace saccade {

/// Columns and diagonals, causal: every query sees the keys of all columns; queries of block u, positions [64 u, 64 u +
/// 64), see for each diagonal (a distance s) the 64 keys [64 u - s, 64 u - s + 64), among which are those exactly s
/// before each of them. A key under several of them is visited once.
///
/// Requires  ascending columns and distances, each once, >= 0
/// Cost      visits: O(columns + diagonals that are not neighbours) for each block
/// Source    MInference, arXiv:2407.02490, algorithm 2 and its vertical-slash index
class VerticalSlash final : public Where {
 public:
  static constexpr Pos kBlock = 64;

  VerticalSlash(std::span<const std::int32_t> columns, std::span<const std::int32_t> diagonals);

  bool admits(Pos q_pos, Pos k_pos) const override;
  void visits(Range q_block, VisitList& out) const override;
  void mask(Pos q_pos, Range keys, std::uint32_t* words) const override;
  Pos q_step() const override { return kBlock; }

  std::span<const std::int32_t> diagonals() const { return diagonals_; }
  /// Neighbours joined.
  std::span<const Range> columns() const { return columns_; }

 private:
  /// Calls `use(keys)` for the key ranges of block u, ascending and disjoint, columns that diagonals cover left out.
  template <class Use>
  void for_each_range(Pos u, const Use& use) const;

  std::vector<std::int32_t> diagonals_;
  std::vector<Range> columns_;  ///< neighbours joined
  std::vector<Range> runs_;     ///< of the diagonals: keys less the block's first position; ascending, disjoint
};

}  // namespace saccade
