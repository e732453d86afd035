#pragma once

#include <span>
#include <string>
#include <vector>

#include "apps/saccade/bench/layers.h"
#include "saccade/attend/attend.h"
#include "saccade/base/team.h"

namespace saccade::app {

/// Our attention over all layers of the data, one call a layer, on one CPU target.
class OurAttention {
 public:
  struct Choice {
    std::string target;
    Precision precision = Precision::kF32;
    std::vector<const Where*> where;  ///< one for all heads, or one a head; borrowed
  };
  /// Requires  the data and the team outlive it. Errors of `run`: as attend
  OurAttention(const Layers& data, Choice choice, Team& team);
  void run();
  /// Of the last layer: [q_len, n_heads, head_dim].
  std::span<float> o() { return o_; }
  /// Of the last layer.
  const AttendCost& cost() const { return cost_; }

 private:
  const Layers& data_;
  Choice choice_;
  Team& team_;
  std::vector<float> o_;
  Workspace workspace_;
  AttendCost cost_;
};

}  // namespace saccade::app
