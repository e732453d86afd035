#pragma once

#include "saccade/attend/edge.h"
#include "saccade/attend/row_map.h"
#include "saccade/kernel/visit.h"

namespace saccade::detail {

/// The rows of an item in tiles of kTileRows, and the room to convert a block of keys and values for all of them.
class Tiles {
 public:
  /// Lays its buffers out; with a counting Layout nothing may be called but the constructor.
  Tiles(Layout& layout, Pos most_rows, Pos head_dim, bool with_bias);

  /// Takes up a block: reads q (negated where the scale is negative), empties the running softmax.
  void start(const AttendCall& call, const RowMap& rows);
  /// All rows see all keys.
  void see_all(const AttendCall& call, Range keys);
  /// Each row sees what the edge, asked about these queries, says.
  void see_edge(const AttendCall& call, const Edge& edge);
  /// Writes row r, normalised, to o [head_dim]; returns its natural lse.
  float finish(Pos row, float* o) const;

 private:
  Pos n_tiles() const;
  kernel::Tile tile(Pos i) const;
  kernel::KeyBlock load(const AttendCall& call, Range keys) const;
  /// False when the tile sees nothing at all.
  bool mask_tile(const AttendCall& call, const Edge& edge, Pos tile, kernel::TileMask& out) const;

  RowMap rows_;
  Pos head_dim_;
  float *q_, *o_;              // [tiles, head_dim, kTileRows]
  float *row_max_, *row_sum_;  // [tiles, kTileRows]
  float *k_, *v_, *scores_;    // one block
  std::uint32_t* visible_;     // [kWords, kTileRows]
  float* bias_;                // [kBlockKeys, kTileRows]; null without a bias
};

}  // namespace saccade::detail
