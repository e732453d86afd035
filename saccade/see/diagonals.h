#pragma once

#include <vector>

#include "saccade/see/parts/per_row.h"
#include "saccade/see/probe.h"
#include "saccade/see/row_probe.h"

namespace saccade::see {

/// The weights at chosen distances: 1 is the previous token; on a text of L random tokens that is repeated, L is the
/// token's last occurrence and L - 1 the one behind it, where an induction head looks.
///   value[query, i] = weight of the key at q_pos - offsets[i]; 0 where there is none
///
/// Requires  `offsets` set before the first call
/// Accuracy  the weight itself
/// Cost      one read a query and offset; 4 bytes a query, head and offset
/// Source    Olsson et al. 2022, "In-context Learning and Induction Heads", arXiv:2209.11895
class Diagonals final : public Probe, public RowProbe {
 public:
  std::vector<Pos> offsets = {1};

  void fields(auto&) {}
  void begin(const LookShape& shape) override { values_.grow(shape, static_cast<Pos>(offsets.size())); }
  void observe(const WeightTile& tile) override;
  void want(RowWants& wants) override;
  void take(const RowSeen& row) override;

  /// [n_offsets] a query and head.
  const PerRow& values() const { return values_; }

 private:
  PerRow values_;
  std::size_t at_ = 0;  // of the first offset in what the first pass was asked for
};

}  // namespace saccade::see
