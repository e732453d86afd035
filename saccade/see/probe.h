#pragma once

#include <cstddef>

#include "saccade/base/team.h"
#include "saccade/base/view.h"

namespace saccade {

/// Weights of one query head over a block of queries and keys: weight = exp(score - lse), 0 where the pattern hides the
/// key. Borrowed: it lives until `observe` returns.
struct WeightTile {
  static constexpr Pos kMostQueries = 64, kMostKeys = 128;

  int head = 0;                         ///< query head of the call
  Range q_positions, k_positions;       ///< absolute; at most kMostQueries x kMostKeys
  const float* weights = nullptr;       ///< [queries, row_stride]
  const float* row_sums = nullptr;      ///< [queries]: the sum of a row's weights in this tile
  const float* row_log_sums = nullptr;  ///< [queries]: of weight log2(weight); null unless a probe wants them
  const float* column_sums = nullptr;   ///< [keys]: of the weights of all queries; null unless a probe wants them
  std::ptrdiff_t row_stride = 0;        ///< floats
  int worker = 0;                       ///< in [0, LookShape::n_workers)

  Pos n_queries() const { return q_positions.size(); }
  Pos n_keys() const { return k_positions.size(); }
  const float* row(Pos query) const { return weights + query * row_stride; }
};

/// What a probe wants in its tiles that is not always there.
struct TileWants {
  bool row_log_sums = false, column_sums = false;
};

/// What a probe will be shown in one call.
struct LookShape {
  Range q_positions;  ///< absolute
  Pos kv_len = 0;
  int n_heads = 0;  ///< query heads
  int n_workers = 0;
};

/// Queries and keys that all heads show before the next patch begins.
struct LookPatch {
  static constexpr Pos kMostPairs = Pos{512} * 512;
  Range q_positions, k_positions;  ///< absolute; at most kMostPairs pairs
};

/// Reads weights, tile by tile, and never writes them: a statistic of attention maps that are never stored.
///
/// A prompt may come in several calls (its batches); what a probe keeps is of all of them. Within a call each visited
/// pair of a query and a key is shown exactly once, in the same order for any team; tiles in which nothing is visible
/// are not shown. Patches come by queries, then by keys, ascending; the tiles of one are the same for all heads.
///
/// Requires  the same n_heads in every call
/// Errors    std::bad_alloc from `begin` and `start`, which look() reports; `observe` and `finish` have none
class Probe {
 public:
  virtual ~Probe() = default;
  virtual TileWants tile_wants() const { return {}; }
  /// A call begins: makes room. Called by one thread.
  virtual void begin(const LookShape& shape) = 0;
  /// A patch begins. Called by one thread.
  virtual void start(const LookPatch& /*patch*/) {}
  /// Called by one worker at a time for one head, in parallel for different heads.
  virtual void observe(const WeightTile& tile) = 0;
  /// All heads have shown their weights of these pairs. Called by one thread, which may put the team to work.
  virtual void finish(const LookPatch& /*patch*/, Team& /*team*/) {}
};

}  // namespace saccade
