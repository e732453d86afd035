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

}  // namespace

RowNotes::RowNotes(Layout& layout, const RowWants& wants, Pos most_rows)
    : wants_(wants),
      shape_(wants),
      n_fields_(2 + shape_.n_masses + shape_.n_clipped + shape_.n_diagonals),
      covers_(wants.spans.size()) {
  const Pos tiles = (most_rows + kRows - 1) / kRows;
  fields_ = layout.take<float>(tiles * n_fields_ * kRows);
  back_ = layout.take<float>(tiles * kRows);
  floors_ = layout.take<float>(tiles * kRows);
  tops_ = layout.take<float>(tiles * kRows);
  best_ = layout.take<RankedKey>(tiles * kRows * shape_.n_top);
  room_ = layout.take<float>(kernel::kBlockKeys * kRows);
  distance_ = layout.take<float>(kernel::kBlockKeys);
  positions_ = layout.take<std::int32_t>(kernel::kBlockKeys);
  factor_ = layout.take<float>(kRows);
  shrink_ = layout.take<float>(kRows);
  block_sum_ = layout.take<float>(kRows);
}

void RowNotes::start(const AttendCall& call, const RowMap& rows) {
  rows_ = rows;
  q_begin_ = call.q_begin;
  anchor_ = q_begin_ + rows.q_rows.end - 1;
  const Pos tiles = (rows.size() + kRows - 1) / kRows;
  std::fill_n(fields_, tiles * n_fields_ * kRows, 0.0F);
  for (Pos tile = 0; tile < tiles; ++tile) std::fill_n(diagonals(tile, 0), shape_.n_diagonals * kRows, kNothing);
  std::fill_n(tops_, tiles * kRows, kNothing);
  std::fill_n(floors_, rows.size(), kNothing);
  std::fill(floors_ + rows.size(), floors_ + tiles * kRows, -kNothing);  // nothing is looked for where there is no row
  std::fill_n(best_, tiles * kRows * shape_.n_top, RankedKey({kNothing, -1}));
  for (float* of_block : {factor_, shrink_, block_sum_}) std::fill_n(of_block, kRows, 1.0F);
  for (Pos row = 0; row < tiles * kRows; ++row) {
    back_[row] = static_cast<float>(row < rows.size() ? anchor_ - (q_begin_ + rows.query(row)) : 0);
  }
}

void RowNotes::take_block(const Gathered& keys) {
  keys_ = keys;
  around_ = keys.ranges()[0];
  keys_.for_each([&](Range range, Pos n) {
    around_ = {std::min(around_.begin, range.begin), std::max(around_.end, range.end)};
    for (Pos position = range.begin; position < range.end; ++position, ++n) {
      distance_[n] = static_cast<float>(anchor_ - position);
      positions_[n] = static_cast<std::int32_t>(position);
    }
  });
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

Range RowNotes::queries_of(Pos tile) const {
  const Pos first = tile * kRows;
  return {q_begin_ + rows_.query(first), q_begin_ + rows_.query(first + n_rows_of(tile) - 1) + 1};
}

Pos RowNotes::n_rows_of(Pos tile) const { return std::min(kRows, rows_.size() - tile * kRows); }

/// Is any key less than `clip` before any of the tile's queries?
bool RowNotes::near(Pos tile, Pos clip) const { return queries_of(tile).begin - (around_.end - 1) < clip; }

/// May any of the tile's queries find a key of the block at this distance?
bool RowNotes::meets(Pos tile, Pos offset) const {
  const Range queries = queries_of(tile);
  return queries.begin - offset < around_.end && queries.end - offset > around_.begin;
}

bool RowNotes::idle() const {
  return !wants_.means && shape_.n_masses + shape_.n_clipped + shape_.n_diagonals + shape_.n_top == 0;
}

bool RowNotes::reads_scores(Pos tile) const {
  return shape_.n_top > 0 ||
         std::ranges::any_of(covers_, [](const Cover& cover) { return cover.part == Cover::Part::kSome; }) ||
         std::ranges::any_of(wants_.clips, [&](Pos clip) { return near(tile, clip); }) ||
         std::ranges::any_of(wants_.offsets, [&](Pos offset) { return meets(tile, offset); });
}

const kernel::Notes* RowNotes::before(Pos tile, float* scores) {
  if (idle()) return nullptr;
  notes_ = {.distance = distance_,
            .log_sum = wants_.means ? logs(tile) : nullptr,
            .distance_sum = wants_.means ? distances(tile) : nullptr,
            .factor = factor_,
            .shrink = shrink_,
            .block_sum = block_sum_,
            .weights = reads_scores(tile) ? room_ : scores};
  return &notes_;
}

void RowNotes::after(Pos tile, const float* row_max, const float* scores) {
  if (idle()) return;
  const kernel::NotedScores block{.scores = scores,
                                  .factor = factor_,
                                  .row_max = row_max,
                                  .n_keys = static_cast<int>(keys_.size()),
                                  .n_rows = static_cast<int>(n_rows_of(tile))};
  join_masses(tile, block);
  join_clipped(tile, block);
  read_diagonals(tile, block);
  if (shape_.n_top > 0) read_best(tile, block);
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

void RowNotes::join_clipped(Pos tile, const kernel::NotedScores& block) {
  for (Pos n = 0; n < shape_.n_clipped; ++n) {
    const Pos clip = wants_.clips[static_cast<std::size_t>(n)];
    float* sums = clipped(tile, n);
    if (near(tile, clip)) {
      shrink_by(shrink_, sums);
      kernel::add_clipped(block, distance_, back(tile), static_cast<float>(clip), sums);
    } else {
      shrink_by(shrink_, static_cast<float>(clip), block_sum_, sums);
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
    if (!meets(tile, offset)) continue;
    float* out = diagonals(tile, n);
    for (Pos r = 0; r < n_rows_of(tile); ++r) {
      const Pos key = find(q_begin_ + rows_.query(tile * kRows + r) - offset);
      if (key < 0) continue;
      const float score = block.scores[key * kRows + r] * factor_[r];
      if (score != kNothing) out[r] = score;  // hidden here, it may be shown by another visit
    }
  }
}

void RowNotes::read_best(Pos tile, const kernel::NotedScores& block) {
  kernel::ScorePlace places[kernel::kBlockKeys * kRows + 1];
  const int n = kernel::list_best(block, static_cast<int>(shape_.n_top), floors(tile), places);
  for (int i = 0; i < n; ++i) {
    const Pos key = places[i].key, row = places[i].row;
    const std::span<RankedKey> list = best(tile * kRows + row);
    keep_best(list, RankedKey({block.scores[key * kRows + row] * factor_[row], positions_[key]}));
    floors(tile)[row] = list.back().key().score;
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
  const double from_anchor = distances(tile)[r];
  record[RecordShape::kDistanceSum] =
      shrink * static_cast<float>(from_anchor - static_cast<double>(back(tile)[r]) * static_cast<double>(row_sum));
  for (Pos n = 0; n < shape_.n_masses; ++n) record[RecordShape::kMasses + n] = shrink * masses(tile, n)[r];
  for (Pos n = 0; n < shape_.n_clipped; ++n) record[shape_.clipped() + n] = shrink * clipped(tile, n)[r];
  for (Pos n = 0; n < shape_.n_diagonals; ++n) record[shape_.diagonals() + n] = diagonals(tile, n)[r] + missing;
  const std::span<const RankedKey> list = best(row);
  for (Pos n = 0; n < shape_.n_top; ++n) {
    const ScoredKey key = list[static_cast<std::size_t>(n)].key();
    record[shape_.top_scores() + n] = key.score + missing;
    record[shape_.top_positions() + n] = std::bit_cast<float>(key.position);
  }
}

}  // namespace saccade::detail
