#pragma once

#include <string>
#include <vector>

#include "saccade/see/parts/per_row.h"
#include "saccade/see/probe.h"
#include "saccade/see/row_probe.h"

namespace saccade::see {

/// What share of its weights a query gives to named spans of keys: the system prompt, the user's turn, a needle.
///   mass[query, span] = sum over keys of the span of weight
///
/// Requires  `spans` set before the first call; they may overlap
/// Accuracy  as a plain f32 loop over the same weights
/// Cost      an addition a pair at the ends of a span, none inside; in the first pass of bf16 as much as 16 dimensions
///           of values for up to 12 spans. 4 bytes a query, head and span
/// Source    steer-and-see, PR2; Wang et al. 2024, "On the loss of context awareness", arXiv:2411.02688
class ClassMasses final : public Probe, public RowProbe {
 public:
  struct Span {
    std::string name;
    Range keys;  ///< absolute positions
  };
  std::vector<Span> spans;

  void fields(auto&) {}
  void begin(const LookShape& shape) override { values_.grow(shape, static_cast<Pos>(spans.size())); }
  void observe(const WeightTile& tile) override;
  void want(RowWants& wants) override;
  void take(const RowSeen& row) override;

  /// [n_spans] a query and head.
  const PerRow& values() const { return values_; }

 private:
  PerRow values_;
  std::size_t at_ = 0;  // of the first span in what the first pass was asked for
};

}  // namespace saccade::see
