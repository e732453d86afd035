#pragma once

#include <string>

#include "saccade/base/error.h"
#include "saccade/where/parts/selection.h"

namespace saccade::where {

/// Joined to others by +: a head for which they chose too little runs dense. The recovered mass of a query is the share
/// of dense attention's softmax weight that lies on the keys chosen for it; it is measured on a few rows of each call,
/// evenly spaced, the last among them, and its mean over them must reach `mass`.
///
/// Accuracy  f32 scores, sums in f64 in the order of the keys: the same bits for any team
/// Cost      for each head that is not dense already, rows x keys scores; memory rows x 256 of them for each worker.
///           In decode the one row is half of dense attention, so that there the rule about cost soon turns choosing
///           off
/// Source    Saccade
struct Floor {
  double mass = 0.95;
  Pos rows = 8;

  static constexpr SelectTraits kTraits{.prefill = false, .decode = false, .needle = false, .depends_on_batch = true};

  void review(const SelectCall& call, Selection& chosen) const;
  void fields(auto& f) {
    f("mass", mass, "share of the softmax weight that a head's keys must hold, else it runs dense");
    f("rows", rows, "queries of a call for which that is measured");
  }
  void check() const {
    if (!(mass > 0 && mass <= 1)) fail_user("where/floor: mass must be > 0 and <= 1, got " + std::to_string(mass));
    if (rows < 1 || rows > 4096) fail_user("where/floor: rows must be 1 to 4096, got " + std::to_string(rows));
  }
};

}  // namespace saccade::where
