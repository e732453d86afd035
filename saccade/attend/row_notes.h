#pragma once

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "saccade/attend/gathered.h"
#include "saccade/attend/marks.h"
#include "saccade/attend/row_map.h"
#include "saccade/attend/row_record.h"
#include "saccade/attend/workspace.h"
#include "saccade/kernel/bf16.h"
#include "saccade/kernel/notes.h"
#include "saccade/kernel/visit.h"

namespace saccade::detail {

/// What probes want of the rows of an item, kept while the item walks through its keys: the kernels add up what needs
/// every weight, and this reads single scores where they leave them.
class RowNotes {
 public:
  /// Lays its buffers out. `precision`: that the call may run in.
  RowNotes(Layout& layout, const RowWants& wants, Pos most_rows, Precision precision);

  /// Nobody wants more than what a visit keeps anyway.
  bool idle() const;
  /// Takes up an item's rows; empties everything.
  void start(const AttendCall& call, const RowMap& rows);
  /// Takes up a block of keys, for the visits that follow: the first, or in a visit of two the second.
  void take_block(const Gathered& keys, int number = 0);
  /// What a visit of the tile is to keep; null: nothing. `scores`: the visit's own, which it then leaves or not, as is
  /// needed.
  const kernel::Notes* before(Pos tile, float* scores);
  /// The visit is over.
  void after(Pos tile, const float* row_max, const float* scores);

  /// In bf16: are single scores of these keys wanted? Then they are to be visited alone.
  bool reads_scores(const Gathered& keys) const;
  /// What the blocks taken up bring along.
  const std::uint32_t* marks(int number) const { return marks_[static_cast<std::size_t>(number)]; }
  /// As before and after, around a visit in bf16. `reads`: single scores are wanted of its only block.
  kernel::Bf16Notes* before_bf16(Pos tile, bool reads);
  void after_bf16(Pos tile, const float* row_max, const float* scores, bool reads);

  /// Room for the scores of a visit of few rows, in units of log2, and what follows such a visit in the place of before
  /// and after; `old_max` and `old_sum`: from before it.
  float* room_for_scores() { return room_; }
  void after_few(const float* row_max, const float* old_max, const float* old_sum);

  /// Writes a row's record. `shift`: what is missing in all its scores, in units of lse.
  void finish(Pos row, float row_max, float row_sum, float shift, float* record) const;

 private:
  /// How a span of positions meets the block.
  struct Cover {
    enum class Part { kNone, kSome, kAll };
    Part part;
    std::uint32_t keys[kernel::kBlockKeys / 32];  // of kSome, as bits
  };

  static constexpr int kSlots = kernel::kMostBf16Blocks;

  float* field(Pos tile, Pos n) const { return fields_ + (tile * n_fields_ + n) * kernel::kTileRows; }
  float* logs(Pos tile) const { return field(tile, 0); }
  float* distances(Pos tile) const { return field(tile, 1); }
  float* masses(Pos tile, Pos n) const { return field(tile, 2 + n); }
  float* clipped(Pos tile, Pos n) const { return field(tile, 2 + shape_.n_masses + n); }
  float* diagonals(Pos tile, Pos n) const { return field(tile, 2 + shape_.n_masses + shape_.n_clipped + n); }
  float* back(Pos tile) const { return back_ + tile * kernel::kTileRows; }
  float* floors(Pos tile) const { return floors_ + tile * kernel::kTileRows; }
  float* tops(Pos tile) const { return tops_ + tile * kernel::kTileRows; }
  std::int32_t* positions(int number) const { return positions_ + Pos{number} * kernel::kBlockKeys; }
  kernel::BestLists best(Pos tile) const;

  bool means() const { return wants_.entropy || wants_.distance; }
  Pos n_tiles() const;
  Pos n_rows_of(Pos tile) const;
  Range queries_of(Pos first_row, Pos n_rows) const;
  Range queries_of(Pos tile) const { return queries_of(tile * kernel::kTileRows, n_rows_of(tile)); }
  Cover cover_of(Range span) const;
  bool reads_places(Range queries, Range around) const;
  bool reads_scores(Pos tile) const;
  kernel::NotedScores noted(Pos tile, const float* row_max, const float* scores) const;
  void shrink_fields(Pos tile);
  void join_masses(Pos tile, const kernel::NotedScores& block);
  void join_clipped(Pos tile, const kernel::NotedScores& block, bool reads);
  void read_diagonals(Pos tile, const kernel::NotedScores& block);
  Pos find(Pos position) const;

  const RowWants& wants_;
  RecordShape shape_;
  Pos n_fields_;             // running numbers of a row, beside its best keys
  float* fields_;            // [tiles, n_fields, kTileRows]
  float *back_, *floors_;    // [tiles, kTileRows]: how far before the anchor the row's query is; its worst best score
  float* tops_;              // [tiles, kTileRows]: largest scores, where bf16's row_max may be less
  kernel::RankedKey* best_;  // [tiles, kTileRows, best_stride_]
  int best_stride_;
  kernel::ListedScore* listed_;  // what may be among the best
  std::uint32_t* words_;         // the same, in bf16
  float* room_;                  // [kBlockKeys, kTileRows]: weights beside scores that stay, or scores of few rows
  float* distance_;              // [kBlockKeys]: how far before the anchor the block's keys are
  std::int32_t* positions_;      // [kSlots, kBlockKeys]: where the keys of the blocks at hand are
  float *factor_, *shrink_, *block_sum_;  // [kTileRows], of the last visit
  bool bf16_;
  std::vector<Cover> covers_;  // one a span
  kernel::Notes notes_;
  std::optional<Marks> all_marks_;  // in bf16, where there are any
  std::array<const std::uint32_t*, kSlots> marks_{};
  kernel::Bf16Notes bf16_notes_;

  RowMap rows_;
  Pos q_begin_ = 0, anchor_ = 0;     // positions of the call's first query, and of the item's last, or the last key's
  Pos seen_to_ = 0;                  // positions behind all keys taken up
  std::array<bool, kSlots> ties_{};  // blocks at hand that lie before some of those
  Gathered keys_;                    // the block at hand
  Range around_;                     // positions that it lies within
};

}  // namespace saccade::detail
