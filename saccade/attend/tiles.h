#pragma once

#include "saccade/attend/edge.h"
#include "saccade/attend/packed.h"
#include "saccade/attend/row_map.h"
#include "saccade/kernel/fixed.h"
#include "saccade/kernel/visit.h"

namespace saccade::detail {

/// Does this call run in 16-bit fixed point? (Precision::kAuto decides here.)
bool runs_fixed(const AttendCall& call);

/// The rows of an item in tiles of kTileRows, and the room to convert a block of keys and values for all of them.
class Tiles {
 public:
  /// Lays its buffers out; with a counting Layout nothing may be called but the constructor.
  Tiles(Layout& layout, const AttendCall& call, Pos most_rows, Packed* shared);

  /// Takes up a block: reads q (negated where the scale is negative), empties the running softmax.
  void start(const AttendCall& call, const RowMap& rows);
  /// All rows see all keys. Returns whether that was in fixed point.
  bool see_all(const AttendCall& call, Range keys);
  /// Each row sees what the edge, asked about these queries, says.
  void see_edge(const AttendCall& call, const Edge& edge);
  /// Writes row r, normalised, to o [v_dim]; returns its natural lse.
  float finish(Pos row, float* o) const;

 private:
  Pos n_tiles() const;
  kernel::Tile tile(Pos i) const;
  kernel::FixedTile fixed_tile(Pos i) const;
  void start_fixed();
  void load(const AttendCall& call, Range keys);
  bool fix(const AttendCall& call, Range keys, const FixedRoom& room);
  const FixedRoom* fixed_keys(const AttendCall& call, Range keys);
  /// False when the tile sees nothing at all.
  bool mask_tile(const AttendCall& call, const Edge& edge, Pos tile, kernel::TileMask& out) const;

  RowMap rows_;
  Pos head_dim_, v_dim_;
  bool fixed_;                 // this call may run in fixed point
  Packed* shared_;             // keys in fixed point that all items share; may be null
  kernel::KeyBlock block_;     // the keys at hand, in f32
  float *q_, *o_;              // [tiles, head_dim, kTileRows], [tiles, v_dim, kTileRows]
  float *row_max_, *row_sum_;  // [tiles, kTileRows]
  float *k_, *v_, *scores_;    // one block
  std::uint32_t* visible_;     // [kWords, kTileRows]
  float* bias_;                // [kBlockKeys, kTileRows]; null without a bias
  std::int32_t* q16_;          // [tiles, head_dim / 2, kTileRows]; this and what follows: null unless fixed_
  float* q_scale_;             // [tiles, kTileRows]; the first of a tile is NaN where it holds NaN or inf
  FixedRoom own_, shared_room_;
};

}  // namespace saccade::detail
