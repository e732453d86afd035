#pragma once

#include <algorithm>

#include "saccade/see/parts/per_key.h"
#include "saccade/see/probe.h"

namespace saccade::see {

/// How much each key was looked at: the sum of its weights, and of their squares, over the queries of a prompt.
///   sums[key] = sum over queries of weight;  squares[key] = sum over queries of weight^2
/// Sinks, heavy hitters (H2O) and RefAM's magnets are read from these.
///
/// Accuracy  blocks of 64 queries in f32, their sums in f64
/// Cost      three vector instructions a vector of pairs; 16 bytes a key and head, 8 without the squares
/// Source    Gu et al. 2025, "When Attention Sink Emerges in Language Models", arXiv:2410.10781; H2O, arXiv:2306.14048
class ColumnSums final : public Probe {
 public:
  bool squares = true;

  void fields(auto& f) { f("squares", squares, "sums of squares, too"); }
  TileWants tile_wants() const override { return {.column_sums = true}; }
  void begin(const LookShape& shape) override;
  void observe(const WeightTile& tile) override;

  const PerKey& sums() const { return sums_; }
  /// Empty without `squares`.
  const PerKey& sums_of_squares() const { return squares_; }
  /// The queries that were seen.
  Range q_positions() const { return q_positions_; }

 private:
  PerKey sums_, squares_;
  Range q_positions_;
};

}  // namespace saccade::see
