#pragma once

#include <cstdint>
#include <span>

#include "saccade/attend/workspace.h"
#include "saccade/base/view.h"
#include "saccade/see/row_probe.h"

namespace saccade::detail {

/// What each key brings along for probes beside its value: how far it lies before an anchor, and for each span of
/// positions 1 if it lies in it. On the matrix unit these are some dimensions of values more, and their weighted sums
/// cost next to nothing: 4 dimensions for the distance, a digit of 8 bits each, which bf16 holds exactly, and one a
/// span.
class Marks {
 public:
  /// Lays its buffers out: sums of `n_tiles` tiles, and the marks of one block in each of `n_slots`.
  Marks(Layout& layout, const RowWants& wants, Pos n_tiles, int n_slots);

  /// Rounded up to whole tiles; 0: nobody wants any.
  int size() const { return size_; }
  /// All sums are empty.
  void start(Pos n_tiles);
  /// Marks of the keys at these positions, as kernel::Bf16Block has them. Valid until the slot is used again.
  const std::uint32_t* mark(std::span<const std::int32_t> positions, Pos anchor, int slot);
  /// [size(), kTileRows], running.
  float* sums(Pos tile) const;

  /// Sums of a row so far: of weight (anchor - position), and of the weights in a span.
  float distance(Pos row) const;
  float mass(Pos row, Pos span) const;

 private:
  static constexpr int kDigits = 4;

  float sum(Pos row, int mark) const;

  const RowWants& wants_;
  int n_digits_, size_;
  float* sums_;           // [n_tiles, size, kTileRows]
  std::uint32_t* words_;  // [n_slots, size, kBlockKeys / 2]
};

}  // namespace saccade::detail
