#pragma once

#include <optional>
#include <span>

#include "saccade/attend/centre.h"
#include "saccade/attend/edge.h"
#include "saccade/attend/packed.h"
#include "saccade/attend/row_map.h"
#include "saccade/attend/row_notes.h"
#include "saccade/kernel/bf16.h"
#include "saccade/kernel/fixed.h"
#include "saccade/kernel/visit.h"

namespace saccade::detail {

/// The rows of an item in tiles of up to kTileRows, and the room to convert a block of keys and values for all of them.
class Tiles {
 public:
  /// Lays its buffers out; with a counting Layout nothing may be called but the constructor.
  /// What items share may be null: rounded keys, and the centres that are taken off keys.
  /// `wants`: what probes want to know; null: nothing.
  Tiles(Layout& layout, const AttendCall& call, Pos most_rows, Shared* shared, const Centres* centres,
        const RowWants* wants);

  /// In which numbers this call may run.
  Precision precision() const { return precision_; }
  /// Takes up a block: reads q (negated where the scale is negative), empties the running softmax.
  void start(const AttendCall& call, const RowMap& rows);
  /// Are these, keys of one range, better seen alone than gathered with others? Such as items share, rounded once.
  bool alone(Range keys) const {
    return is_unit(keys, kernel::kBlockKeys) || (shared_ && is_unit(keys, Shared::kHalf));
  }
  /// All rows see all keys. Returns in which numbers. `behind`: what of these keys' visit is to come.
  Precision see_all(const AttendCall& call, const Gathered& keys, const Gathered* /*next*/, Range behind);
  /// Each row sees what the edge, asked about these queries, says. Returns in which numbers.
  Precision see_edge(const AttendCall& call, const Edge& edge);
  /// No more keys come. Before anything is asked for.
  void end(const AttendCall& call) { see_waiting(call); }
  /// Pairs of a row and a key that went by runs since `start`.
  std::int64_t n_skipped() const { return n_skipped_; }
  /// Writes row r, normalised, to o [v_dim]; returns its natural lse. Requires that rows come in order.
  float finish(Pos row, float* o);
  /// Writes what was noted of row r. Requires `wants`.
  void finish_notes(Pos row, float* record) const;

 private:
  Pos n_tiles() const;
  kernel::Tile tile(Pos i) const;
  kernel::FixedTile fixed_tile(Pos i) const;
  kernel::Bf16Tile bf16_tile(Pos i) const;
  void start_fixed(Pos tile, Pos n);
  void start_bf16(Pos tile);
  void load(const AttendCall& call, const Gathered& keys);
  bool fill_bf16(const AttendCall& call, const Gathered& keys, const PackedRoom& room);
  const PackedRoom* packed_keys(const AttendCall& call, const Gathered& keys);
  void visit_tile(const AttendCall& call, Pos tile, const Gathered& keys, const kernel::TileMask& mask,
                  const PackedRoom* packed);
  void visit_plain(const AttendCall& call, Pos tile, const kernel::TileMask& mask);
  void visit_bf16(const AttendCall& call, Pos tile, std::span<const kernel::Bf16Block> blocks,
                  const kernel::TileMask& mask, bool reads);
  bool see_in_pairs(const AttendCall& call, const Gathered& keys, const PackedRoom& packed, Range behind);
  void visit_all(const AttendCall& call, std::span<const kernel::Bf16Block> blocks);
  void expect(const AttendCall& call, Range behind);
  kernel::Bf16Block bf16_block(const Gathered& keys, const PackedRoom& packed, int number) const;
  void see_waiting(const AttendCall& call);
  void visit_fixed(Pos tile, const kernel::FixedBlock& block, const std::uint32_t* visible);
  const kernel::Notes* before(Pos tile) { return notes_ ? notes_->before(tile, scores_) : nullptr; }
  void after(Pos tile) {
    if (notes_) notes_->after(tile, row_max_ + tile * kernel::kTileRows, scores_);
  }
  Precision see_edge_fixed(const AttendCall& call, const Edge& edge);
  const PackedRoom* shared_apart(const AttendCall& call, const Gathered& keys);
  Pos n_visible(Pos n_keys) const;
  void visit_apart(const AttendCall& call, Pos tile, const Gathered& keys, const kernel::TileMask& mask,
                   const PackedRoom& room, const WildKeys& wild);
  /// Of what the last mask_tile found, only the keys named, or only the others; false where that leaves nothing.
  bool keep_visible(const WildKeys& keys, bool named);
  /// False when the tile sees nothing at all.
  bool mask_tile(const AttendCall& call, const Edge& edge, Pos tile, kernel::TileMask& out) const;
  /// What the centre took off all scores of the row, in units of lse.
  float shift_of(Pos row) const;

  RowMap rows_;
  float skip_log2_ = kernel::kSkipNothing;
  std::int64_t n_skipped_ = 0;
  bool any_wild_ = false;  // bf16: a tile of q holds NaN or inf
  Pos head_dim_, v_dim_;
  float scale_;                // its magnitude
  Precision precision_;        // that this call may run in
  Shared* shared_;             // rounded keys of all items; may be null
  const Centres* centres_;     // may be null
  kernel::KeyBlock block_;     // the keys at hand, in f32, less their centre
  Pos o_size_, q_words_;       // of one tile
  float *q_, *o_;              // [tiles, head_dim, kTileRows], [tiles, v_dim (in bf16 rounded up to 16), kTileRows]
  float *row_max_, *row_sum_;  // [tiles, kTileRows]
  float *k_, *v_, *scores_;    // one block; scores_ in bf16: kBf16Scratch
  std::byte* raw_;             // keys or values of one block as they are stored, brought together
  std::uint32_t* visible_;     // [kWords, kTileRows]
  float* bias_;                // [kBlockKeys, kTileRows]; null without a bias
  std::uint32_t* q_rounded_;   // [tiles, q_words_]: pairs of dimensions; this and what follows: null in f32
  float* q_scale_;             // [tiles, kTileRows]; the first of a tile is NaN where it holds NaN or inf
  PackedRoom own_, shared_room_;
  // bf16: a shared block that all rows see, until the next comes: two in one visit move o once.
  std::optional<kernel::Bf16Block> waiting_;
  kernel::Ahead ahead_;  // bf16: what the next visit reads
  std::optional<RowNotes> notes_;
};

}  // namespace saccade::detail
