#pragma once

#include <string>
#include <vector>

#include "saccade/base/error.h"
#include "saccade/where/parts/selection.h"

namespace saccade::where {

/// Joined to selectors by +: in each call it decides how strong they are in each head (their tau, their gamma), so that
/// all heads of the layer together miss dense attention's result by no more than `error`, and pay as little as that
/// takes:
///   sum over heads and rows |o - o_dense|^2 <= error^2 sum over heads and rows |o_dense|^2
/// It is measured on a few queries of the call, one in each of `rows` equal parts: they attend densely, each block of
/// 64 keys apart, so that what every strength would give is a sum over blocks. Heads differ in what they need by more
/// than selectors do, and from text to text; those that look everywhere run dense, those that look nearby visit little.
/// What is said of other queries is an estimate. Windows and sinks beside it are always there.
///
/// Accuracy  f32 (parts/trial.h); sink scores are left out of the measurement
/// Cost      rows x keys scores and as many values a head, at the speed of f32 attention (12 of 4,096 queries: 0.3 % of
///           the pairs); and the selectors' lists for every strength
/// Source    Saccade; a budget for each head by what it loses: AdaKV, arXiv:2407.11550
struct Within {
  double error = 0.05;
  Pos rows = 12;

  static constexpr SelectTraits kTraits{.prefill = false, .decode = false, .needle = false, .depends_on_batch = true};

  void deal(const SelectCall& call, const std::vector<Selection>& rungs, Selection& out) const;
  void fields(auto& f) {
    f("error", error, "how far a layer's result may be off, as a share of it");
    f("rows", rows, "queries of a call for which that is measured");
  }
  void check() const {
    if (!(error >= 0 && error <= 1))
      fail_user("where/within: error must be >= 0 and <= 1, got " + std::to_string(error));
    if (rows < 1 || rows > 1024) fail_user("where/within: rows must be 1 to 1024, got " + std::to_string(rows));
  }
};

}  // namespace saccade::where
