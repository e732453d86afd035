#pragma once

#include <span>
#include <vector>

#include "saccade/where/parts/selection.h"

namespace saccade {

/// What one of several selections would make of a head: sums over the rows that were tried.
struct RungTrial {
  double error = 0;  ///< |o_selection - o|^2
  double pairs = 0;  ///< keys that the rows see
};

struct HeadTrial {
  double size = 0;               ///< |o|^2 of dense attention, summed over the rows
  std::vector<RungTrial> rungs;  ///< [n_rungs]
};

/// Tries selections on a few rows of every head of the call: attends these rows densely, but keeps every block of 64
/// keys apart, so that what a selection gives is a sum over the blocks that it shows.
///
/// Shapes    rows: of the call, in [0, q.len); rungs[i].of_head [call.heads.size()]; result [call.heads.size()]
/// Requires  call.v; rungs that grow: each shows a row what the one before shows, and more. A block of 64 keys that a
///           rung shows in part is taken for shown. Sink scores are not known here, and left out
/// Errors    std::bad_alloc. NaN and inf stay in the heads that look at them
/// Accuracy  f32, sums over blocks too: for judging errors of 1e-4 and more
/// Cost      2 (head_dim + head_dim_v) FLOP a row and key at the speed of the f32 kernel, where 48 rows (of a KV head's
///           query heads together) cost as much as one; memory of one KV head's rows x kv_len / 64 x head_dim_v floats
/// Source    Flash-Decoding's splits (Dao et al. 2023), not merged
std::vector<HeadTrial> try_rungs(const SelectCall& call, std::span<const Pos> rows, std::span<const Selection> rungs);

/// What was tried in the calls of a text before this one. A head goes on much as it did, and a few rows of one call say
/// little: errors and sizes of earlier calls are added, each call counting kKept times as much as the next. Pairs stay
/// those of the call at hand.
class TrialMemory {
 public:
  static constexpr double kKept = 0.7;  ///< 12 rows a call say as much as 40 would alone

  /// Adds what is remembered to `trials`, and remembers it, unless the call does not go on where the last one ended.
  void join(const SelectCall& call, std::vector<HeadTrial>& trials);

 private:
  Pos end_ = 0;
  std::vector<HeadTrial> trials_;
};

}  // namespace saccade
