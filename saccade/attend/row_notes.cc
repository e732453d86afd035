#include "saccade/attend/row_notes.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace saccade::detail {
namespace {

constexpr Pos kRows = kernel::kTileRows;
constexpr float kNothing = -std::numeric_limits<float>::infinity();

void shrink_by(const float* shrink, float times, const float* block_sum, float* sums) {
  for (Pos r = 0; r < kRows; ++r) sums[r] = sums[r] * shrink[r] + times * block_sum[r];
}

void shrink_by(const float* shrink, float* sums) {
  for (Pos r = 0; r < kRows; ++r) sums[r] *= shrink[r];
}

/// Positions that the keys lie within.
Range bounds_of(const Gathered& keys) {
  Range all = keys.ranges()[0];
  for (const Range range : keys.ranges()) all = {std::min(all.begin, range.begin), std::max(all.end, range.end)};
  return all;
}

/// May any of the keys be less than `clip` before any of the queries?
bool near(Range queries, Range keys, Pos clip) { return queries.begin - (keys.end - 1) < clip; }

/// May any of the queries find one of the keys at this distance?
bool meet(Range queries, Range keys, Pos offset) {
  return queries.begin - offset < keys.end && queries.end - offset > keys.begin;
}

}  // namespace

RowNotes::RowNotes(Layout& layout, const RowWants& wants, Pos most_rows, Precision precision)
    : wants_(wants),
      shape_(wants),
      n_fields_(2 + shape_.n_masses + shape_.n_clipped + shape_.n_diagonals),
      best_stride_(kernel::round_up(static_cast<int>(shape_.n_top), kernel::kRankedTogether)),
      bf16_(precision == Precision::kBf16),
      covers_(wants.spans.size()) {
  const Pos tiles = (most_rows + kRows - 1) / kRows;
  const int n_slots = bf16_ ? kSlots : 1;
  fields_ = layout.take<float>(tiles * n_fields_ * kRows);
  back_ = layout.take<float>(tiles * kRows);
  floors_ = layout.take<float>(tiles * kRows);
  tops_ = layout.take<float>(tiles * kRows);
  best_ = layout.take<kernel::RankedKey>(tiles * kRows * best_stride_);
  const Pos pairs = shape_.n_top > 0 ? kernel::kBlockKeys * kRows : 0;
  listed_ = layout.take<kernel::ListedScore>(pairs + 1);
  words_ = layout.take<std::uint32_t>(bf16_ ? pairs + kernel::kTileSide : 0);
  room_ = layout.take<float>(kernel::kBlockKeys * kRows);
  distance_ = layout.take<float>(kernel::kBlockKeys);
  positions_ = layout.take<std::int32_t>(Pos{n_slots} * kernel::kBlockKeys);
  factor_ = layout.take<float>(kRows);
  shrink_ = layout.take<float>(kRows);
  block_sum_ = layout.take<float>(kRows);
  if (bf16_ && (wants.distance || !wants.spans.empty())) all_marks_.emplace(layout, wants, tiles, n_slots);
}

void RowNotes::start(const AttendCall& call, const RowMap& rows) {
  rows_ = rows;
  q_begin_ = call.q_begin;
  anchor_ = std::min(q_begin_ + rows.q_rows.end, call.k.len) - 1;
  seen_to_ = 0;
  const Pos tiles = n_tiles();
  std::fill_n(fields_, tiles * n_fields_ * kRows, 0.0F);
  for (Pos tile = 0; tile < tiles; ++tile) std::fill_n(diagonals(tile, 0), shape_.n_diagonals * kRows, kNothing);
  std::fill_n(tops_, tiles * kRows, kNothing);
  std::fill_n(floors_, rows.size(), kNothing);
  std::fill(floors_ + rows.size(), floors_ + tiles * kRows, -kNothing);  // nothing is looked for where there is no row
  std::fill_n(best_, tiles * kRows * best_stride_, kernel::RankedKey({kNothing, -1}));
  for (float* of_block : {factor_, shrink_, block_sum_}) std::fill_n(of_block, kRows, 1.0F);
  for (Pos row = 0; row < tiles * kRows; ++row) {
    back_[row] = static_cast<float>(row < rows.size() ? anchor_ - (q_begin_ + rows.query(row)) : 0);
  }
  if (all_marks_) all_marks_->start(tiles);
}

void RowNotes::take_block(const Gathered& keys, int number) {
  keys_ = keys;
  around_ = bounds_of(keys);
  ties_[static_cast<std::size_t>(number)] = around_.begin < seen_to_;
  seen_to_ = std::max(seen_to_, around_.end);
  std::int32_t* const at = positions(number);
  keys_.for_each([&](Range range, Pos n) {
    for (Pos position = range.begin; position < range.end; ++position, ++n) {
      distance_[n] = static_cast<float>(anchor_ - position);
      at[n] = static_cast<std::int32_t>(position);
    }
  });
  if (all_marks_) {
    const std::span<const std::int32_t> all(at, static_cast<std::size_t>(keys.size()));
    marks_[static_cast<std::size_t>(number)] = all_marks_->mark(all, anchor_, number);
  }
  for (std::size_t n = 0; n < covers_.size(); ++n) covers_[n] = cover_of(wants_.spans[n]);
}

RowNotes::Cover RowNotes::cover_of(Range span) const {
  Cover cover{.part = Cover::Part::kNone, .keys = {}};
  if (span.begin <= around_.begin && span.end >= around_.end) {
    cover.part = Cover::Part::kAll;
    return cover;
  }
  keys_.for_each([&](Range range, Pos n) {
    const Range both{std::max(range.begin, span.begin), std::min(range.end, span.end)};
    for (Pos position = both.begin; position < both.end; ++position) {
      const Pos key = n + position - range.begin;
      cover.keys[key / 32] |= 1U << (key % 32);
      cover.part = Cover::Part::kSome;
    }
  });
  return cover;
}

Pos RowNotes::n_tiles() const { return (rows_.size() + kRows - 1) / kRows; }

Pos RowNotes::n_rows_of(Pos tile) const { return std::min(kRows, rows_.size() - tile * kRows); }

/// The positions of the queries of some rows.
Range RowNotes::queries_of(Pos first_row, Pos n_rows) const {
  return {q_begin_ + rows_.query(first_row), q_begin_ + rows_.query(first_row + n_rows - 1) + 1};
}

/// Is a clipped distance or a diagonal of these queries a matter of single keys within these positions?
bool RowNotes::reads_places(Range queries, Range around) const {
  return std::ranges::any_of(wants_.clips, [&](Pos clip) { return near(queries, around, clip); }) ||
         std::ranges::any_of(wants_.offsets, [&](Pos offset) { return meet(queries, around, offset); });
}

bool RowNotes::idle() const { return !means() && shape_.width() == RecordShape::kMasses; }

bool RowNotes::reads_scores(const Gathered& keys) const {
  return reads_places(queries_of(0, rows_.size()), bounds_of(keys));
}

bool RowNotes::reads_scores(Pos tile) const {
  return shape_.n_top > 0 || reads_places(queries_of(tile), around_) ||
         std::ranges::any_of(covers_, [](const Cover& cover) { return cover.part == Cover::Part::kSome; });
}

kernel::BestLists RowNotes::best(Pos tile) const {
  return {.best = best_ + tile * kRows * best_stride_,
          .n_best = static_cast<int>(shape_.n_top),
          .stride = best_stride_,
          .floor = floors(tile)};
}

const kernel::Notes* RowNotes::before(Pos tile, float* scores) {
  if (idle()) return nullptr;
  notes_ = {.distance = distance_,
            .log_sum = means() ? logs(tile) : nullptr,
            .distance_sum = means() ? distances(tile) : nullptr,
            .factor = factor_,
            .shrink = shrink_,
            .block_sum = block_sum_,
            .weights = reads_scores(tile) ? room_ : scores};
  return &notes_;
}

kernel::NotedScores RowNotes::noted(Pos tile, const float* row_max, const float* scores) const {
  return {.scores = scores,
          .factor = factor_,
          .row_max = row_max,
          .n_keys = static_cast<int>(keys_.size()),
          .n_rows = static_cast<int>(n_rows_of(tile))};
}

void RowNotes::after(Pos tile, const float* row_max, const float* scores) {
  if (idle()) return;
  const kernel::NotedScores block = noted(tile, row_max, scores);
  join_masses(tile, block);
  for (Pos n = 0; n < shape_.n_clipped; ++n) shrink_by(shrink_, clipped(tile, n));
  for (int n = 0; all_marks_ && n < all_marks_->size(); ++n) shrink_by(shrink_, all_marks_->sums(tile) + n * kRows);
  join_clipped(tile, block, true);
  read_diagonals(tile, block);
  if (shape_.n_top > 0) {
    const int n = kernel::list_best(block, static_cast<int>(shape_.n_top), floors(tile), listed_);
    kernel::keep_best(listed_, n, positions(0), best(tile));
  }
}

kernel::Bf16Notes* RowNotes::before_bf16(Pos tile, bool reads) {
  bf16_notes_ = {.top = tops(tile),
                 .log_sum = wants_.entropy ? logs(tile) : nullptr,
                 .marks = all_marks_ ? all_marks_->sums(tile) : nullptr,
                 .n_marks = all_marks_ ? all_marks_->size() : 0,
                 .best = shape_.n_top > 0 ? best(tile) : kernel::BestLists{},
                 .ties = {ties_[0], ties_[1]},
                 .positions = positions(0),
                 .listed = listed_,
                 .words = words_,
                 .factor = factor_,
                 .shrink = shrink_,
                 .visit_sum = shape_.n_clipped > 0 ? block_sum_ : nullptr,
                 .scores_stay = reads};
  return &bf16_notes_;
}

void RowNotes::after_bf16(Pos tile, const float* row_max, const float* scores, bool reads) {
  if (bf16_notes_.shrank) shrink_fields(tile);
  const kernel::NotedScores block = noted(tile, row_max, scores);
  join_clipped(tile, block, reads);
  if (reads) read_diagonals(tile, block);
}

/// What visits in f32 have summed, where a visit in bf16 raised the maxima.
void RowNotes::shrink_fields(Pos tile) {
  shrink_by(shrink_, distances(tile));
  for (Pos n = 0; n < shape_.n_masses; ++n) shrink_by(shrink_, masses(tile, n));
  for (Pos n = 0; n < shape_.n_clipped; ++n) shrink_by(shrink_, clipped(tile, n));
}

void RowNotes::after_few(const float* row_max, const float* old_max, const float* old_sum) {
  const kernel::NotedScores block{.scores = room_,
                                  .factor = factor_,
                                  .row_max = row_max,
                                  .n_keys = static_cast<int>(keys_.size()),
                                  .n_rows = static_cast<int>(rows_.size())};
  kernel::note_scores(block, old_max, old_sum, *before(0, room_));
  after(0, row_max, room_);
}

void RowNotes::join_masses(Pos tile, const kernel::NotedScores& block) {
  for (std::size_t n = 0; n < covers_.size(); ++n) {
    float* sums = masses(tile, static_cast<Pos>(n));
    const Cover& cover = covers_[n];
    if (cover.part == Cover::Part::kAll) {
      shrink_by(shrink_, 1.0F, block_sum_, sums);
    } else {
      shrink_by(shrink_, sums);
      if (cover.part == Cover::Part::kSome) kernel::add_some_weights(block, cover.keys, sums);
    }
  }
}

/// `reads`: the scores are there. Keys farther away than the clip count as much as it.
void RowNotes::join_clipped(Pos tile, const kernel::NotedScores& block, bool reads) {
  for (Pos n = 0; n < shape_.n_clipped; ++n) {
    const Pos at = wants_.clips[static_cast<std::size_t>(n)];
    const auto clip = static_cast<float>(at);
    float* const sums = clipped(tile, n);
    if (reads && near(queries_of(tile), around_, at)) {
      kernel::add_clipped(block, distance_, back(tile), clip, sums);
    } else {
      for (Pos r = 0; r < kRows; ++r) sums[r] += clip * block_sum_[r];
    }
  }
}

/// Which of the block's keys has this position; -1: none.
Pos RowNotes::find(Pos position) const {
  Pos found = -1;
  keys_.for_each([&](Range range, Pos n) {
    if (position >= range.begin && position < range.end) found = n + position - range.begin;
  });
  return found;
}

void RowNotes::read_diagonals(Pos tile, const kernel::NotedScores& block) {
  for (Pos n = 0; n < shape_.n_diagonals; ++n) {
    const Pos offset = wants_.offsets[static_cast<std::size_t>(n)];
    if (!meet(queries_of(tile), around_, offset)) continue;
    float* out = diagonals(tile, n);
    for (Pos r = 0; r < n_rows_of(tile); ++r) {
      const Pos key = find(q_begin_ + rows_.query(tile * kRows + r) - offset);
      if (key < 0) continue;
      const float score = block.scores[key * kRows + r] * factor_[r];
      if (score != kNothing) out[r] = score;  // hidden here, it may be shown by another visit
    }
  }
}

void RowNotes::finish(Pos row, float row_max, float row_sum, float shift, float* record) const {
  constexpr double kLog2e = 1.4426950408889634;
  const auto missing = static_cast<float>(static_cast<double>(shift) * kLog2e);
  const Pos tile = row / kRows, r = row % kRows;
  // Sums are relative to row_max; a record's are to the largest score.
  const float fall = std::min(0.0F, row_max - std::max(row_max, tops(tile)[r])), shrink = std::exp2(fall);
  record[RecordShape::kRowMax] = row_max - fall + missing;
  record[RecordShape::kRowSum] = shrink * row_sum;
  record[RecordShape::kLogSum] = shrink * (logs(tile)[r] + fall * row_sum);
  // From the anchor's distances to the query's own.
  const float by_marks = wants_.distance && all_marks_ ? all_marks_->distance(row) : 0.0F;
  const double from_anchor = static_cast<double>(distances(tile)[r]) + static_cast<double>(by_marks);
  const auto back = static_cast<double>(anchor_ - (q_begin_ + rows_.query(row)));
  record[RecordShape::kDistanceSum] = shrink * static_cast<float>(from_anchor - back * static_cast<double>(row_sum));
  for (Pos n = 0; n < shape_.n_masses; ++n) {
    const float marked = all_marks_ ? all_marks_->mass(row, n) : 0.0F;
    record[RecordShape::kMasses + n] = shrink * (masses(tile, n)[r] + marked);
  }
  for (Pos n = 0; n < shape_.n_clipped; ++n) record[shape_.clipped() + n] = shrink * clipped(tile, n)[r];
  for (Pos n = 0; n < shape_.n_diagonals; ++n) record[shape_.diagonals() + n] = diagonals(tile, n)[r] + missing;
  const kernel::RankedKey* const list = best_ + row * best_stride_;
  for (Pos n = 0; n < shape_.n_top; ++n) {
    const kernel::ScoredKey key = list[n].key();
    record[shape_.top_scores() + n] = key.score + missing;
    record[shape_.top_positions() + n] = std::bit_cast<float>(key.position);
  }
}

}  // namespace saccade::detail
