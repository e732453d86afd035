#pragma once

#include <cstdint>
#include <string>

#include "apps/saccade/bench/layers.h"
#include "saccade/base/team.h"

namespace saccade::app {

/// The machine's own limits, each as one run of known work on every worker of a team (kernel/peak.h).
/// Errors of all: Fault::kMachine when a loop's result shows that it did not do its work.

/// f32 multiply-adds from registers on a CPU target; returns FLOP.
double run_multiply_add(const std::string& target, Team& team);
/// 16-bit integer multiply-adds (AVX-512 VNNI); returns operations, two a multiply-add.
/// Requires a CPU and a target that have it (kernel::has_fixed on that target).
double run_multiply_add_i16(const std::string& target, Team& team);
/// Reads keys and values of all layers once, in order, layer after layer, each worker its share of each tensor.
class Reading {
 public:
  Reading(const Layers& data, Team& team) : data_(data), team_(team) {}
  void run();
  void check() const;

 private:
  const Layers& data_;
  Team& team_;
  std::uint64_t sum_ = 0;
};

}  // namespace saccade::app
