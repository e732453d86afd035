#pragma once

#include <string>

#include "saccade/base/error.h"
#include "saccade/see/parts/per_row.h"
#include "saccade/see/probe.h"
#include "saccade/see/row_probe.h"

namespace saccade::see {

/// How far back a query looks: the mean over its weights of the distance to the key, and of the distance cut at `clip`.
///   mean = sum weight (q_pos - k_pos);  clipped = sum weight min(q_pos - k_pos, clip)
/// `clipped`, averaged over the local heads, is WAAD.
///
/// Units     tokens
/// Accuracy  as a plain f32 loop over the same weights
/// Cost      two multiply-adds a pair (one farther back than `clip`), in either pass; in the first pass of bf16 as much
///           as 16 dimensions of values. 8 bytes a query and head
/// Source    Li et al. 2025, "Attention Illuminates LLM Reasoning", arXiv:2510.13554
class Distance final : public Probe, public RowProbe {
 public:
  Pos clip = 10;

  void fields(auto& f) { f("clip", clip, "distances count as no more than this in the clipped mean"); }
  void check() const {
    if (clip < 1) fail_user("see/distance: clip must be >= 1, got " + std::to_string(clip));
  }
  void begin(const LookShape& shape) override {
    mean_.grow(shape);
    clipped_.grow(shape);
  }
  void observe(const WeightTile& tile) override;
  void want(RowWants& wants) override {
    wants.distance = true;
    at_ = wants.clips.size();
    wants.clips.push_back(clip);
  }
  void take(const RowSeen& row) override {
    *mean_.row(row.head, row.q_position) = row.distance;
    *clipped_.row(row.head, row.q_position) = row.clipped[at_];
  }

  /// One number a query and head.
  const PerRow& mean() const { return mean_; }
  const PerRow& clipped() const { return clipped_; }

 private:
  PerRow mean_, clipped_;
  std::size_t at_ = 0;  // of the clip in what the first pass was asked for
};

}  // namespace saccade::see
