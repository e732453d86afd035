#include "saccade/attend/tiles.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "saccade/kernel/score.h"

namespace saccade::detail {
namespace {

constexpr Pos kRows = kernel::kTileRows;
constexpr float kNothing = -std::numeric_limits<float>::infinity();

/// Lines asked for at once: of 85, at head_dim 256, each waits for others, and attention took 3 % longer.
constexpr Pos kMostAhead = 32;

constexpr Pos tiles_of(Pos n_rows) { return (n_rows + kRows - 1) / kRows; }

kernel::ScoreRule rule(const AttendCall& call) { return {.scale = std::abs(call.scale), .softcap = call.softcap}; }

/// The rows of some keys, one every `stride` bytes: where they are, or from several ranges copied to `raw`.
Rows rows_of(const View& view, const Gathered& keys, int head, std::byte* raw) {
  if (keys.one_range()) return {view.row(keys.first(), head), view.len_stride};
  const std::size_t bytes = row_bytes(view.dtype, view.dim);
  std::byte* to = raw;
  for (const Range range : keys.ranges()) {
    for (Pos key = range.begin; key < range.end; ++key, to += bytes) std::memcpy(to, view.row(key, head), bytes);
  }
  return {raw, static_cast<std::ptrdiff_t>(bytes)};
}

}  // namespace

Tiles::Tiles(Layout& layout, const AttendCall& call, Pos most_rows, Shared* shared, const Centres* centres,
             const RowWants* wants)
    : head_dim_(call.q.dim),
      v_dim_(call.v.dim),
      scale_(std::abs(call.scale)),
      precision_(runs_in(call)),
      shared_(shared),
      centres_(centres) {
  const Pos tiles = tiles_of(most_rows);
  const int k_dim = static_cast<int>(head_dim_);
  const bool bf16 = precision_ == Precision::kBf16;
  constexpr Pos kKeys = kernel::kBlockKeys;
  o_size_ = (bf16 ? kernel::round_up(static_cast<int>(v_dim_), kernel::kTileSide) : v_dim_) * kRows;
  q_words_ = (bf16 ? kernel::round_up(k_dim, 32) : k_dim) / 2 * kRows;
  q_ = layout.take<float>(tiles * head_dim_ * kRows);
  o_ = layout.take<float>(tiles * o_size_);
  row_max_ = layout.take<float>(tiles * kRows);
  row_sum_ = layout.take<float>(tiles * kRows);
  k_ = layout.take<float>(kKeys * head_dim_);
  v_ = layout.take<float>(kKeys * v_dim_);
  scores_ = layout.take<float>(bf16 ? kernel::kBf16Scratch : kKeys * kRows);
  raw_ = layout.take<std::byte>(
      kKeys * static_cast<Pos>(std::max(row_bytes(call.k.dtype, head_dim_), row_bytes(call.v.dtype, v_dim_))));
  visible_ = layout.take<std::uint32_t>(Edge::kWords * kRows);
  bias_ = call.bias.data ? layout.take<float>(kKeys * kRows) : nullptr;
  const bool rounds = precision_ != Precision::kF32;
  q_rounded_ = rounds ? layout.take<std::uint32_t>(tiles * q_words_) : nullptr;
  q_scale_ = rounds ? layout.take<float>(tiles * kRows) : nullptr;
  if (rounds) own_ = PackedRoom(layout, precision_, head_dim_, v_dim_, kKeys);
  if (wants) notes_.emplace(layout, *wants, most_rows, precision_);
}

Pos Tiles::n_tiles() const { return tiles_of(rows_.size()); }

void Tiles::start(const AttendCall& call, const RowMap& rows) {
  rows_ = rows;
  skip_log2_ = std::log2(static_cast<float>(rows.set->where->skips()));  // -inf: nothing
  n_skipped_ = 0;
  any_wild_ = false;
  const auto dim = static_cast<int>(head_dim_);
  for (Pos first = 0; first < rows.size(); first += kRows) {
    const Pos n = std::min(kRows, rows.size() - first);
    float* to = k_;  // no key is at hand yet
    for (Pos r = first; r < first + n; ++r, to += head_dim_) {
      if (is_uniform(call, rows.head(r))) {
        std::fill_n(to, head_dim_, 0.0F);
        continue;
      }
      kernel::load_rows(call.q.dtype, call.q.row(rows.query(r), rows.head(r)), 0, 1, dim, to);
      if (call.scale < 0) std::transform(to, to + head_dim_, to, std::negate<>());
    }
    kernel::pack_tile(k_, static_cast<int>(n), dim, q_ + first * head_dim_);
    if (precision_ == Precision::kI16) start_fixed(first / kRows, n);
    if (precision_ == Precision::kBf16) start_bf16(first / kRows);
  }
  std::fill_n(o_, n_tiles() * o_size_, 0.0F);
  std::fill_n(row_max_, n_tiles() * kRows, kNothing);
  std::fill_n(row_sum_, n_tiles() * kRows, 0.0F);
  if (notes_) notes_->start(call, rows);
}

void Tiles::start_fixed(Pos tile, Pos n) {
  const auto dim = static_cast<int>(head_dim_);
  float* const rounded = k_ + kRows * head_dim_;  // behind the rows
  auto* const words = reinterpret_cast<std::int16_t*>(rounded);
  float* const scales = q_scale_ + tile * kRows;
  for (Pos r = 0; r < n; ++r) scales[r] = kernel::fix_row(k_ + r * head_dim_, dim, words + r * head_dim_);
  std::fill(scales + n, scales + kRows, 1.0F);
  if (std::any_of(scales, scales + n, [](float scale) { return std::isnan(scale); })) {
    scales[0] = std::numeric_limits<float>::quiet_NaN();
  }
  // Two words of 16 bits go where a float would.
  kernel::pack_tile(rounded, static_cast<int>(n), dim / 2, reinterpret_cast<float*>(q_rounded_ + tile * q_words_));
}

void Tiles::start_bf16(Pos tile) {
  const float* q = q_ + tile * head_dim_ * kRows;
  const bool finite = kernel::round_queries(q, static_cast<int>(head_dim_), q_rounded_ + tile * q_words_);
  q_scale_[tile * kRows] = finite ? 1.0F : std::numeric_limits<float>::quiet_NaN();
  any_wild_ = any_wild_ || !finite;
}

kernel::Tile Tiles::tile(Pos i) const {
  return {.q = q_ + i * head_dim_ * kRows,
          .o = o_ + i * o_size_,
          .row_max = row_max_ + i * kRows,
          .row_sum = row_sum_ + i * kRows,
          .n_rows = static_cast<int>(std::min(kRows, rows_.size() - i * kRows))};
}

kernel::FixedTile Tiles::fixed_tile(Pos i) const {
  const kernel::Tile plain = tile(i);
  return {.q = reinterpret_cast<const std::int32_t*>(q_rounded_ + i * q_words_),
          .q_scale = q_scale_ + i * kRows,
          .o = plain.o,
          .row_max = plain.row_max,
          .row_sum = plain.row_sum,
          .n_rows = plain.n_rows,
          .skip_log2 = skip_log2_};
}

kernel::Bf16Tile Tiles::bf16_tile(Pos i) const {
  const kernel::Tile plain = tile(i);
  return {.q = q_rounded_ + i * q_words_,
          .o = plain.o,
          .row_max = plain.row_max,
          .row_sum = plain.row_sum,
          .n_rows = plain.n_rows};
}

void Tiles::load(const AttendCall& call, const Gathered& keys) {
  const int n_keys = static_cast<int>(keys.size());
  const int dim = static_cast<int>(head_dim_);
  const int v_dim = static_cast<int>(v_dim_);
  const int head = rows_.set->kv_head;
  const Rows k = rows_of(call.k, keys, head, raw_);
  kernel::load_rows(call.k.dtype, k.at, k.stride, n_keys, dim, k_);
  if (centres_) {
    const float* centre = centres_->of(head);
    for (int key = 0; key < n_keys; ++key) {
      for (int i = 0; i < dim; ++i) k_[key * dim + i] -= centre[i];
    }
  }
  const Rows v = rows_of(call.v, keys, head, raw_);
  const bool finite = kernel::load_panels(call.v.dtype, v.at, v.stride, n_keys, v_dim, v_);
  block_ = {.k = k_, .v = v_, .n_keys = n_keys, .head_dim = dim, .v_dim = v_dim, .v_finite = finite};
}

bool Tiles::fill_bf16(const AttendCall& call, const Gathered& keys, const PackedRoom& room) {
  const int head = rows_.set->kv_head;
  const auto rounded = [&](const View& view, float* in_f32, const auto& round) {
    const Rows rows = rows_of(view, keys, head, raw_);
    if (kernel::can_round(view.dtype)) return round(view.dtype, rows);
    const int n = static_cast<int>(keys.size()), dim = static_cast<int>(view.dim);
    kernel::load_rows(view.dtype, rows.at, rows.stride, n, dim, in_f32);
    return round(DType::f32,
                 {reinterpret_cast<const std::byte*>(in_f32), static_cast<std::ptrdiff_t>(dim * sizeof(float))});
  };
  return rounded(call.k, k_,
                 [&](DType dtype, Rows k) {
                   return room.fill_keys(dtype, k, keys.size(), centres_ ? centres_->of(head) : nullptr);
                 }) &&
         rounded(call.v, v_, [&](DType dtype, Rows v) { return room.fill_values(dtype, v, keys.size()); });
}

/// The rounded keys, shared where that can be; null where they cannot be had.
const PackedRoom* Tiles::packed_keys(const AttendCall& call, const Gathered& keys) {
  const int head = rows_.set->kv_head;
  const auto fill = [&](const PackedRoom& room) {
    if (precision_ == Precision::kBf16) return fill_bf16(call, keys, room);
    load(call, keys);
    return room.fill(block_);
  };
  if (shared_ && keys.one_range() && alone(keys.ranges()[0])) {
    Packed& packed = keys.size() == kernel::kBlockKeys ? shared_->whole : shared_->half;
    if (const PackedRoom* room = packed.get(head, keys.first(), shared_room_, fill)) return room;
  }
  return fill(own_) ? &own_ : nullptr;
}

void Tiles::visit_plain(const AttendCall& call, Pos i, const kernel::TileMask& mask) {
  kernel::Tile rows = tile(i);
  rows.notes = before(i);
  kernel::visit(rows, block_, mask, rule(call), scores_);
  after(i);
}

void Tiles::visit_fixed(Pos i, const kernel::FixedBlock& block, const std::uint32_t* visible) {
  kernel::FixedTile rows = fixed_tile(i);
  rows.notes = before(i);
  n_skipped_ += kernel::visit_fixed(rows, block, scale_, visible, scores_);
  after(i);
}

/// `reads`: probes want single scores of the only block.
void Tiles::visit_bf16(const AttendCall& call, Pos i, std::span<const kernel::Bf16Block> blocks,
                       const kernel::TileMask& mask, bool reads) {
  kernel::Bf16Tile rows = bf16_tile(i);
  if (ahead_.n_lines() > 0) {
    const Pos n_strips = (n_tiles() - i) * static_cast<Pos>(blocks.size()) * (kernel::kBlockKeys / 32);
    rows.ahead = &ahead_;
    rows.n_ahead = static_cast<int>(std::min(kMostAhead, (ahead_.n_lines() + n_strips - 1) / n_strips));
  }
  if (notes_) rows.notes = notes_->before_bf16(i, reads);
  kernel::visit_bf16(rows, blocks, mask, rule(call), scores_);
  if (notes_) notes_->after_bf16(i, rows.row_max, scores_, reads);
}

/// What of `behind` the next visit may read: rounded keys and values, or, where nobody has rounded them yet, what they
/// are to be rounded from.
void Tiles::expect(const AttendCall& call, Range behind) {
  ahead_.clear();
  if (!shared_) return;
  const int head = rows_.set->kv_head;
  for (int n = 0; n < 2 && behind.size() >= kernel::kBlockKeys; ++n, behind.begin += kernel::kBlockKeys) {
    PackedRoom room;
    if (shared_->whole.find(head, behind.begin, room)) {
      const kernel::Bf16Block block = room.bf16_block(kernel::kBlockKeys);
      const auto add = [&](const std::uint32_t* words, int n_words) {
        ahead_.add(reinterpret_cast<const std::byte*>(words), 0, 1, static_cast<std::size_t>(n_words) * 4);
      };
      add(block.k, kernel::bf16_k_words(block.head_dim)), add(block.v, kernel::bf16_v_words(block.v_dim));
    } else {
      for (const View* view : {&call.k, &call.v}) {
        ahead_.add(view->row(behind.begin, head), view->len_stride, kernel::kBlockKeys,
                   row_bytes(view->dtype, view->dim));
      }
    }
  }
}

/// All tiles see all keys of these blocks.
void Tiles::visit_all(const AttendCall& call, std::span<const kernel::Bf16Block> blocks) {
  for (Pos i = 0; i < n_tiles(); ++i) visit_bf16(call, i, blocks, {}, false);
  ahead_.clear();
}

/// Sees the block now, together with one that waits, or, if it is going to stay, lets it wait itself. Not where rows
/// with NaN or inf look at the keys as they were, nor where probes look at single scores.
bool Tiles::see_in_pairs(const AttendCall& call, const Gathered& keys, const PackedRoom& packed, Range behind) {
  if (any_wild_ || (notes_ && notes_->reads_scores(keys))) return false;
  const int number = waiting_ ? 1 : 0;
  if (notes_) notes_->take_block(keys, number);
  const kernel::Bf16Block block = bf16_block(keys, packed, number);
  if (!waiting_ && &packed != &own_) {
    waiting_ = block;
    return true;
  }
  const kernel::Bf16Block blocks[] = {waiting_ ? *waiting_ : block, block};
  expect(call, behind);
  visit_all(call, std::span(blocks).subspan(waiting_ ? 0 : 1));
  waiting_.reset();
  return true;
}

void Tiles::see_waiting(const AttendCall& call) {
  if (waiting_) visit_all(call, {&*waiting_, 1});
  waiting_.reset();
}

kernel::Bf16Block Tiles::bf16_block(const Gathered& keys, const PackedRoom& packed, int number) const {
  kernel::Bf16Block block = packed.bf16_block(keys.size());
  block.marks = notes_ ? notes_->marks(number) : nullptr;
  return block;
}

void Tiles::visit_tile(const AttendCall& call, Pos i, const Gathered& keys, const kernel::TileMask& mask,
                       const PackedRoom* packed) {
  if (!packed || std::isnan(q_scale_[i * kRows])) {
    if (!block_.k) load(call, keys);
    visit_plain(call, i, mask);
  } else if (precision_ == Precision::kBf16) {
    kernel::Bf16Block block = bf16_block(keys, *packed, 0);
    if (mask.visible && !notes_) {
      block.v_keys = block.n_keys;
      block.n_keys = static_cast<int>(n_visible(keys.size()));
    }
    visit_bf16(call, i, {&block, 1}, mask, notes_ && notes_->reads_scores(keys));
  } else {
    visit_fixed(i, packed->fixed_block(keys.size()), nullptr);
  }
}

Precision Tiles::see_all(const AttendCall& call, const Gathered& keys, const Gathered* /*next*/, Range behind) {
  block_ = {};
  const PackedRoom* packed = precision_ == Precision::kF32 ? nullptr : packed_keys(call, keys);
  if (packed && precision_ == Precision::kBf16 && see_in_pairs(call, keys, *packed, behind)) return precision_;
  see_waiting(call);
  if (notes_) notes_->take_block(keys);
  for (Pos i = 0; i < n_tiles(); ++i) visit_tile(call, i, keys, {}, packed);
  return packed ? precision_ : Precision::kF32;
}

Precision Tiles::see_edge(const AttendCall& call, const Edge& edge) {
  see_waiting(call);
  block_ = {};
  if (notes_) notes_->take_block(edge.keys());
  if (precision_ == Precision::kI16) return see_edge_fixed(call, edge);
  const PackedRoom* packed = precision_ == Precision::kBf16 ? packed_keys(call, edge.keys()) : nullptr;
  for (Pos i = 0; i < n_tiles(); ++i) {
    kernel::TileMask mask;
    if (mask_tile(call, edge, i, mask)) visit_tile(call, i, edge.keys(), mask, packed);
  }
  return packed ? precision_ : Precision::kF32;
}

Precision Tiles::see_edge_fixed(const AttendCall& call, const Edge& edge) {
  const Gathered& keys = edge.keys();
  WildKeys wild{};
  const PackedRoom* room = &own_;
  if (const PackedRoom* shared = shared_apart(call, keys)) {
    room = shared;
  } else {
    load(call, keys);
    wild = own_.fill_apart(block_);
  }
  for (Pos i = 0; i < n_tiles(); ++i) {
    kernel::TileMask mask;
    if (mask_tile(call, edge, i, mask)) visit_apart(call, i, keys, mask, *room, wild);
  }
  return Precision::kI16;
}

/// The keys, rounded each for itself, where items share them and all are finite; else null.
const PackedRoom* Tiles::shared_apart(const AttendCall& call, const Gathered& keys) {
  if (!shared_ || !keys.one_range() || !is_unit(keys.ranges()[0], kernel::kBlockKeys)) return nullptr;
  return shared_->apart.get(rows_.set->kv_head, keys.first(), shared_room_, [&](const PackedRoom& room) {
    load(call, keys);
    return room.fill_apart(block_) == WildKeys{};
  });
}

/// Keys up to the last that any row of the tile at hand sees, in whole steps of the kernel. What no row sees weighs
/// exactly nothing; probes are told of it all the same.
Pos Tiles::n_visible(Pos n_keys) const {
  constexpr Pos kStep = 8;
  for (Pos w = (n_keys + 31) / 32; w-- > 0;) {
    std::uint32_t any = 0;
    for (Pos r = 0; r < kRows; ++r) any |= visible_[w * kRows + r];
    if (any != 0) return std::min(n_keys, (w * 32 + std::bit_width(any) + kStep - 1) / kStep * kStep);
  }
  return 0;
}

/// Keys with NaN or inf run in f32, in a visit of their own, so that the rows that do not see them keep every bit.
void Tiles::visit_apart(const AttendCall& call, Pos i, const Gathered& keys, const kernel::TileMask& mask,
                        const PackedRoom& room, const WildKeys& wild) {
  const bool any_wild = std::any_of(wild.begin(), wild.end(), [](std::uint32_t word) { return word != 0; });
  if (std::isnan(q_scale_[i * kRows])) {
    if (!block_.k) load(call, keys);
    return visit_plain(call, i, mask);
  }
  kernel::FixedBlock block = room.apart_block(keys.size());
  if (!any_wild) {
    if (mask.visible && !notes_) block.n_keys = static_cast<int>(n_visible(keys.size()));
    return visit_fixed(i, block, mask.visible);
  }
  std::vector<std::uint32_t> all(visible_, visible_ + Edge::kWords * kRows);
  if (keep_visible(wild, false)) visit_fixed(i, block, visible_);
  std::copy(all.begin(), all.end(), visible_);
  if (keep_visible(wild, true)) visit_plain(call, i, {.visible = visible_, .bias = nullptr});
}

bool Tiles::keep_visible(const WildKeys& keys, bool named) {
  std::uint32_t any = 0;
  for (Pos w = 0; w < Edge::kWords; ++w) {
    const std::uint32_t kept = named ? keys[static_cast<std::size_t>(w)] : ~keys[static_cast<std::size_t>(w)];
    for (Pos r = 0; r < kRows; ++r) any |= visible_[w * kRows + r] &= kept;
  }
  return any != 0;
}

bool Tiles::mask_tile(const AttendCall& call, const Edge& edge, Pos tile, kernel::TileMask& out) const {
  const Pos first = tile * kRows;
  const Pos n_rows = std::min(kRows, rows_.size() - first);
  const Gathered& keys = edge.keys();
  std::uint32_t any = 0;
  bool all = true;
  std::fill_n(visible_, Edge::kWords * kRows, 0U);
  for (Pos r = 0; r < n_rows; ++r) {
    const Pos query = rows_.query(first + r);
    const std::uint32_t* words = edge.words(query);
    for (Pos w = 0; w * 32 < keys.size(); ++w) {
      const Pos left = keys.size() - w * 32;
      visible_[w * kRows + r] = words[w];
      any |= words[w];
      all = all && words[w] == (left >= 32 ? ~0U : (1U << left) - 1);
    }
    if (!bias_) continue;
    const float* bias = edge.bias(query);
    const float slope = slope_of(call, rows_.head(first + r));
    for (Pos j = 0; j < keys.size(); ++j) bias_[j * kRows + r] = slope * bias[j];
  }
  for (Pos j = 0; bias_ && j < keys.size(); ++j) std::fill(bias_ + j * kRows + n_rows, bias_ + (j + 1) * kRows, 0.0F);
  out = {.visible = all ? nullptr : visible_, .bias = bias_};
  return any != 0;
}

float Tiles::shift_of(Pos row) const {
  if (!centres_) return 0.0F;
  const float* q = q_ + row / kRows * head_dim_ * kRows + row % kRows;
  const float* centre = centres_->of(rows_.set->kv_head);
  float dot = 0.0F;
  for (Pos i = 0; i < head_dim_; ++i) dot += q[i * kRows] * centre[i];
  return scale_ * dot;
}

float Tiles::finish(Pos row, float* o) {
  if (row % kRows == 0) {  // its whole tile, to where values were
    kernel::unpack_tile(o_ + row / kRows * o_size_, row_sum_ + row,
                        static_cast<int>(std::min(kRows, rows_.size() - row)), static_cast<int>(v_dim_), v_);
  }
  std::copy_n(v_ + row % kRows * v_dim_, v_dim_, o);
  const float sum = row_sum_[row];
  return sum == 0 ? kNothing : lse_of(row_max_[row], sum) + shift_of(row);
}

void Tiles::finish_notes(Pos row, float* record) const {
  notes_->finish(row, row_max_[row], row_sum_[row], shift_of(row), record);
}

}  // namespace saccade::detail
