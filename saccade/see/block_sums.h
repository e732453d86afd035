#pragma once

#include <span>
#include <string>
#include <vector>

#include "saccade/base/error.h"
#include "saccade/see/probe.h"

namespace saccade::see {

/// A head's map scaled down to n x n blocks over a text of known length: sums, means and maxima of the weights.
///   block of position p = p n / text_len, rounded down
/// Queries and keys beyond the text are left out.
///
/// Requires  text_len set before the first call
/// Accuracy  sums as a plain f32 loop over the same weights, maxima exact
/// Cost      an addition and a comparison a pair; 8 n^2 bytes a head (4 without maxima)
/// Source    what SeerAttention's gates learn from, arXiv:2410.13276; the pyramid of `saccade inspect`
class BlockSums final : public Probe {
 public:
  Pos n = 128;
  bool maxima = true;
  Pos text_len = 0;
  std::vector<int> heads;  ///< those that are kept; empty: all

  void fields(auto& f) {
    f("n", n, "blocks to a side");
    f("maxima", maxima, "the largest weight of a block, too");
  }
  void check() const {
    if (n < 1) fail_user("see/block_sums: n must be >= 1, got " + std::to_string(n));
  }
  TileWants tile_wants() const override { return {.column_sums = true}; }
  void begin(const LookShape& shape) override;
  void observe(const WeightTile& tile) override;

  /// [n, n], queries by keys; empty when the head is not kept.
  std::span<const float> sums(int head) const { return of(sums_, head); }
  std::span<const float> largest(int head) const { return of(maxima_, head); }
  /// The positions of block i; maybe none.
  Range positions(Pos i) const { return {(i * text_len + n - 1) / n, ((i + 1) * text_len + n - 1) / n}; }
  /// The mean weight over all pairs of a block of queries and one of keys, those beyond the diagonal included.
  double mean(int head, Pos q_block, Pos k_block) const;

 private:
  static std::span<const float> of(const std::vector<std::vector<float>>& all, int head) {
    return static_cast<std::size_t>(head) < all.size() ? all[static_cast<std::size_t>(head)] : std::span<const float>{};
  }
  Pos block_of(Pos position) const { return position * n / text_len; }
  bool keeps(int head) const;
  void add(const WeightTile& tile, Range rows, Range columns);

  std::vector<std::vector<float>> sums_, maxima_;  // by head
};

}  // namespace saccade::see
