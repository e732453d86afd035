#pragma once

#include <span>
#include <vector>

#include "saccade/attend/gathered.h"
#include "saccade/attend/row_map.h"
#include "saccade/attend/row_record.h"
#include "saccade/attend/workspace.h"
#include "saccade/kernel/notes.h"
#include "saccade/kernel/visit.h"

namespace saccade::detail {

/// What probes want of the rows of an item, kept while the item walks through its keys: the kernels add up what needs
/// every weight, and this reads single scores where they leave them.
class RowNotes {
 public:
  /// Lays its buffers out.
  RowNotes(Layout& layout, const RowWants& wants, Pos most_rows);

  /// Nobody wants more than what a visit keeps anyway.
  bool idle() const;
  /// Takes up an item's rows; empties everything.
  void start(const AttendCall& call, const RowMap& rows);
  /// Takes up a block of keys, for the visits that follow.
  void take_block(const Gathered& keys);
  /// What a visit of the tile is to keep; null: nothing. `scores`: the visit's own, which it then leaves or not, as is
  /// needed.
  const kernel::Notes* before(Pos tile, float* scores);
  /// The visit is over.
  void after(Pos tile, const float* row_max, const float* scores);
  /// Room for the scores of a visit of few rows, in units of log2, and what follows such a visit in the place of before
  /// and after; `old_max` and `old_sum`: from before it.
  float* room_for_scores() { return room_; }
  void after_few(const float* row_max, const float* old_max, const float* old_sum);

  /// Writes a row's record. `shift`: what is missing in all its scores, in units of lse.
  void finish(Pos row, float row_max, float row_sum, float shift, float* record) const;
  /// [kTileRows], running: where a kernel whose row_max may lag behind keeps the largest scores of a tile's rows.
  float* tops(Pos tile) const { return tops_ + tile * kernel::kTileRows; }

 private:
  /// How a span of positions meets the block.
  struct Cover {
    enum class Part { kNone, kSome, kAll };
    Part part;
    std::uint32_t keys[kernel::kBlockKeys / 32];  // of kSome, as bits
  };

  float* field(Pos tile, Pos n) const { return fields_ + (tile * n_fields_ + n) * kernel::kTileRows; }
  float* logs(Pos tile) const { return field(tile, 0); }
  float* distances(Pos tile) const { return field(tile, 1); }
  float* masses(Pos tile, Pos n) const { return field(tile, 2 + n); }
  float* clipped(Pos tile, Pos n) const { return field(tile, 2 + shape_.n_masses + n); }
  float* diagonals(Pos tile, Pos n) const { return field(tile, 2 + shape_.n_masses + shape_.n_clipped + n); }
  float* back(Pos tile) const { return back_ + tile * kernel::kTileRows; }
  float* floors(Pos tile) const { return floors_ + tile * kernel::kTileRows; }
  std::span<RankedKey> best(Pos row) const {
    return {best_ + row * shape_.n_top, static_cast<std::size_t>(shape_.n_top)};
  }

  /// The positions of the queries of a tile.
  Range queries_of(Pos tile) const;
  Pos n_rows_of(Pos tile) const;
  Cover cover_of(Range span) const;
  bool near(Pos tile, Pos clip) const;
  bool meets(Pos tile, Pos offset) const;
  bool reads_scores(Pos tile) const;
  void join_masses(Pos tile, const kernel::NotedScores& block);
  void join_clipped(Pos tile, const kernel::NotedScores& block);
  void read_diagonals(Pos tile, const kernel::NotedScores& block);
  void read_best(Pos tile, const kernel::NotedScores& block);
  Pos find(Pos position) const;

  const RowWants& wants_;
  RecordShape shape_;
  Pos n_fields_;             // running numbers of a row, beside its best keys
  float* fields_;            // [tiles, n_fields, kTileRows]
  float *back_, *floors_;    // [tiles, kTileRows]: how far before the anchor the row's query is; its worst best score
  float* tops_;              // [tiles, kTileRows]: largest scores, where a kernel's row_max may be less
  RankedKey* best_;          // [rows, n_top]
  float* room_;              // [kBlockKeys, kTileRows]: weights beside scores that stay, or scores of few rows
  float* distance_;          // [kBlockKeys]: how far before the anchor the block's keys are
  std::int32_t* positions_;  // [kBlockKeys]: where they are
  float *factor_, *shrink_, *block_sum_;  // [kTileRows], of the last visit
  std::vector<Cover> covers_;             // one a span
  kernel::Notes notes_;

  RowMap rows_;
  Pos q_begin_ = 0, anchor_ = 0;  // positions of the call's first query, and of the item's last
  Gathered keys_;                 // the block at hand
  Range around_;                  // positions that it lies within
};

}  // namespace saccade::detail
