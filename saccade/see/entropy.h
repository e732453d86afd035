#pragma once

#include "saccade/see/parts/per_row.h"
#include "saccade/see/probe.h"
#include "saccade/see/row_probe.h"

namespace saccade::see {

/// How evenly a query spreads its weights over the keys it sees.
///   entropy = - sum weight ln(weight);  ln(n) where n keys share it evenly, 0 where one key has it all
///
/// Units     nats
/// Accuracy  as a plain f32 loop over the same weights; weights below 2^-126.5 count as zero
/// Cost      one multiply-add a pair, in either pass; 4 bytes a query and head
/// Source    steer-and-see, PR4; Zhai et al. 2023, "Stabilizing Transformer Training by Preventing Attention Entropy
///           Collapse", arXiv:2303.06296
class Entropy final : public Probe, public RowProbe {
 public:
  void fields(auto&) {}
  TileWants tile_wants() const override { return {.row_log_sums = true}; }
  void begin(const LookShape& shape) override { values_.grow(shape); }
  void observe(const WeightTile& tile) override;
  void want(RowWants& wants) override { wants.entropy = true; }
  void take(const RowSeen& row) override { *values_.row(row.head, row.q_position) = row.entropy; }

  /// One number a query and head.
  const PerRow& values() const { return values_; }

 private:
  PerRow values_;
};

}  // namespace saccade::see
