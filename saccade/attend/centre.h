#pragma once

#include "saccade/attend/edge.h"
#include "saccade/attend/schedule.h"

namespace saccade::detail {

/// A vector for each KV head that lies amid its keys. Softmax does not change when one vector is taken off all keys:
/// every score of a row moves by scale q.centre, which goes back into lse. Real keys share large offsets (some of
/// Qwen2.5's dimensions lie around 175); without them what is left of a key keeps more of its bits in bf16.
///
/// Taken from up to 32 keys, evenly spaced among those that the call's last query visits and sees, by dimension their
/// median, so that a few wild keys do not move it; keys with NaN or inf are passed over. 0 where nothing is seen.
class Centres {
 public:
  /// Lays out its room.
  Centres(Layout& layout, const AttendCall& call);

  /// Is it of use to this call? Not where scores are not linear in keys (soft cap), nor outside bf16, nor to keys that
  /// are bf16 already: as they are they are not rounded at all.
  static bool wanted(const AttendCall& call, const Schedule& schedule);
  /// Before the workers start. Cost: 32 keys of each KV head.
  void find(const AttendCall& call, const Schedule& schedule);

  /// [head_dim]
  const float* of(int kv_head) const { return centres_ + kv_head * head_dim_; }

 private:
  void find(const AttendCall& call, const HeadSet& set);

  Pos head_dim_;
  Edge edge_;       // one query
  float* samples_;  // [kMostSamples, head_dim]
  float* centres_;  // [n_kv_heads, head_dim]
};

}  // namespace saccade::detail
