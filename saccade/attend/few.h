#pragma once

#include "saccade/attend/edge.h"
#include "saccade/attend/row_map.h"
#include "saccade/kernel/few.h"

namespace saccade::detail {

/// The rows of an item when there are at most kernel::kFewRows of them (a decode step): plays the part of `Tiles`,
/// reading keys and values straight from the cache.
class Few {
 public:
  /// Lays its buffers out; `scratch` is what several that take turns share.
  Few(Layout& layout, const AttendCall& call, float* scratch);
  static float* take_scratch(Layout& layout);

  void start(const AttendCall& call, const RowMap& rows);
  Precision see_all(const AttendCall& call, Range keys) {
    see(call, keys, {});
    return Precision::kF32;
  }
  Precision see_edge(const AttendCall& call, const Edge& edge);
  float finish(Pos row, float* o) const;

 private:
  void see(const AttendCall& call, Range keys, const kernel::FewMask& mask);

  RowMap rows_;
  Pos head_dim_, v_dim_;
  float *q_, *o_;              // [kFewRows, head_dim], [kFewRows, v_dim]
  float *row_max_, *row_sum_;  // [kFewRows]
  float* scratch_;             // for the kernel
  std::uint32_t* visible_;     // [kFewRows, kWords]
  float* bias_;                // [kFewRows, kBlockKeys]; null without a bias
};

}  // namespace saccade::detail
