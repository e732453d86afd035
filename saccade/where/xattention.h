#pragma once

#include <vector>

#include "saccade/where/parts/selection.h"

namespace saccade::where {

/// For prompts: of each block of 128 queries, the blocks of 128 keys that make up a share tau of its softmax weight,
/// estimated from sums of scores along antidiagonals, one for each stride of positions. The first block and the
/// query's own are always there. Decode steps run dense.
///
/// A block's list depends on the queries of the block that are in the batch, and on nothing else of how a prompt is
/// cut: batches that begin and end at multiples of 128 choose what one batch would; of a block cut in two, each part
/// chooses by itself.
///
/// Source: XAttention, arXiv:2503.16428. Deviations: none of its thresholds per head; a stride of which no query is in
/// the batch does not count (the authors pad it with zeros, which looks everywhere alike).
struct Xattention {
  double tau = 0.9;
  Pos stride = 16;

  static constexpr Pos kBlock = 128;
  static constexpr SelectTraits kTraits{.prefill = true, .decode = false, .depends_on_batch = true};

  /// Accuracy  strides of queries and keys are rounded to 16 bits where the CPU multiplies those (parts/row_tiles.h):
  ///           a score is off by about 1e-5 |q| |k| scale, of norms averaged over the stride, and so is a block's share
  ///           of the weight, relative to itself. Keys that are not finite: f32
  /// Cost      2 q_len kv_len head_dim / stride FLOP a head; scratch: one KV head's keys in 16 bits or f32, and for
  /// each
  ///           worker max(64, 128 / stride) x kv_len / stride floats
  void choose(const SelectCall& call, Selection& out) const;
  /// The same for each tau of kLadder, from one estimate.
  void climb(const SelectCall& call, std::vector<Selection>& rungs) const;
  void fields(auto& f) {
    f("tau", tau, "share of the estimated weight that a block of queries keeps");
    f("stride", stride, "positions whose scores are summed; divides 128");
  }
  void check() const;
};

}  // namespace saccade::where
