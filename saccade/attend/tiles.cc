#include "saccade/attend/tiles.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace saccade::detail {
namespace {

constexpr Pos kRows = kernel::kTileRows;
constexpr float kNothing = -std::numeric_limits<float>::infinity();

constexpr Pos tiles_of(Pos n_rows) { return (n_rows + kRows - 1) / kRows; }

kernel::ScoreRule rule(const AttendCall& call) { return {.scale = std::abs(call.scale), .softcap = call.softcap}; }

}  // namespace

bool runs_fixed(const AttendCall& call) {
  if (call.precision == Precision::kF32 || call.softcap > 0 || call.bias.data || call.scale == 0) return false;
  if (call.precision == Precision::kAuto && (call.k.dtype == DType::f32 || call.v.dtype == DType::f32)) return false;
  return kernel::has_fixed();
}

Tiles::Tiles(Layout& layout, const AttendCall& call, Pos most_rows, Packed* shared)
    : head_dim_(call.q.dim), v_dim_(call.v.dim), fixed_(runs_fixed(call)), shared_(shared) {
  const Pos tiles = tiles_of(most_rows);
  constexpr Pos kKeys = kernel::kBlockKeys;
  q_ = layout.take<float>(tiles * head_dim_ * kRows);
  o_ = layout.take<float>(tiles * v_dim_ * kRows);
  row_max_ = layout.take<float>(tiles * kRows);
  row_sum_ = layout.take<float>(tiles * kRows);
  k_ = layout.take<float>(kKeys * head_dim_);
  v_ = layout.take<float>(kKeys * v_dim_);
  scores_ = layout.take<float>(kKeys * kRows);
  visible_ = layout.take<std::uint32_t>(Edge::kWords * kRows);
  bias_ = call.bias.data ? layout.take<float>(kKeys * kRows) : nullptr;
  q16_ = fixed_ ? layout.take<std::int32_t>(tiles * head_dim_ / 2 * kRows) : nullptr;
  q_scale_ = fixed_ ? layout.take<float>(tiles * kRows) : nullptr;
  if (fixed_) own_ = FixedRoom(layout, head_dim_, v_dim_);
}

Pos Tiles::n_tiles() const { return tiles_of(rows_.size()); }

void Tiles::start(const AttendCall& call, const RowMap& rows) {
  rows_ = rows;
  const float sign = call.scale < 0 ? -1.0F : 1.0F;
  float values[kernel::kMaxHeadDim];
  for (Pos r = 0; r < n_tiles() * kRows; ++r) {
    float* column = q_ + r / kRows * head_dim_ * kRows + r % kRows;
    if (r < rows.size()) {
      const std::byte* from = call.q.row(rows.query(r), rows.head(r));
      kernel::load_rows(call.q.dtype, from, 0, 1, static_cast<int>(head_dim_), values);
      for (Pos i = 0; i < head_dim_; ++i) column[i * kRows] = sign * values[i];
    } else {
      for (Pos i = 0; i < head_dim_; ++i) column[i * kRows] = 0.0F;
    }
  }
  std::fill_n(o_, n_tiles() * v_dim_ * kRows, 0.0F);
  std::fill_n(row_max_, n_tiles() * kRows, kNothing);
  std::fill_n(row_sum_, n_tiles() * kRows, 0.0F);
  if (fixed_) start_fixed();
}

void Tiles::start_fixed() {
  float values[kernel::kMaxHeadDim];
  std::int16_t words[kernel::kMaxHeadDim];
  for (Pos r = 0; r < n_tiles() * kRows; ++r) {
    const float* column = q_ + r / kRows * head_dim_ * kRows + r % kRows;
    for (Pos i = 0; i < head_dim_; ++i) values[i] = column[i * kRows];
    const float scale = kernel::fix_row(values, static_cast<int>(head_dim_), words);
    q_scale_[r] = scale;
    if (std::isnan(scale)) q_scale_[r / kRows * kRows] = scale;
    std::int32_t* to = q16_ + r / kRows * (head_dim_ / 2) * kRows + r % kRows;
    for (Pos i = 0; i < head_dim_ / 2; ++i) std::memcpy(to + i * kRows, words + 2 * i, sizeof *to);
  }
}

kernel::Tile Tiles::tile(Pos i) const {
  return {.q = q_ + i * head_dim_ * kRows,
          .o = o_ + i * v_dim_ * kRows,
          .row_max = row_max_ + i * kRows,
          .row_sum = row_sum_ + i * kRows,
          .n_rows = static_cast<int>(std::min(kRows, rows_.size() - i * kRows))};
}

kernel::FixedTile Tiles::fixed_tile(Pos i) const {
  const kernel::Tile plain = tile(i);
  return {.q = q16_ + i * head_dim_ / 2 * kRows,
          .q_scale = q_scale_ + i * kRows,
          .o = plain.o,
          .row_max = plain.row_max,
          .row_sum = plain.row_sum,
          .n_rows = plain.n_rows};
}

void Tiles::load(const AttendCall& call, Range keys) {
  const int n_keys = static_cast<int>(keys.size());
  const int dim = static_cast<int>(head_dim_);
  const int v_dim = static_cast<int>(v_dim_);
  const int head = rows_.set->kv_head;
  kernel::load_rows(call.k.dtype, call.k.row(keys.begin, head), call.k.len_stride, n_keys, dim, k_);
  const bool finite =
      kernel::load_panels(call.v.dtype, call.v.row(keys.begin, head), call.v.len_stride, n_keys, v_dim, v_);
  block_ = {.k = k_, .v = v_, .n_keys = n_keys, .head_dim = dim, .v_dim = v_dim, .v_finite = finite};
}

/// False where a key or value is NaN or inf.
bool Tiles::fix(const AttendCall& call, Range keys, const FixedRoom& room) {
  const int dim = static_cast<int>(head_dim_);
  load(call, keys);
  if (!block_.v_finite) return false;
  for (int key = 0; key < block_.n_keys; ++key) {
    room.k_scale[key] = kernel::fix_row(k_ + key * dim, dim, room.k + key * dim);
    if (std::isnan(room.k_scale[key])) return false;
  }
  kernel::fix_panels(v_, block_.n_keys, block_.v_dim, room.v, room.v_scale);
  return true;
}

/// The keys in fixed point, shared where that can be; null where they cannot be had.
const FixedRoom* Tiles::fixed_keys(const AttendCall& call, Range keys) {
  const bool whole = keys.begin % kernel::kBlockKeys == 0 && keys.size() == kernel::kBlockKeys;
  const auto fill = [&](const FixedRoom& room) { return fix(call, keys, room); };
  if (shared_ && whole) {
    const Pos block = keys.begin / kernel::kBlockKeys;
    if (const FixedRoom* room = shared_->get(rows_.set->kv_head, block, shared_room_, fill)) return room;
  }
  return fill(own_) ? &own_ : nullptr;
}

bool Tiles::see_all(const AttendCall& call, Range keys) {
  block_ = {};
  const FixedRoom* fixed = fixed_ ? fixed_keys(call, keys) : nullptr;
  for (Pos i = 0; i < n_tiles(); ++i) {
    if (fixed && !std::isnan(q_scale_[i * kRows])) {
      const auto block = fixed->block(static_cast<int>(keys.size()));
      kernel::visit_fixed(fixed_tile(i), block, std::abs(call.scale), scores_);
    } else {
      if (!block_.k) load(call, keys);
      kernel::visit(tile(i), block_, {}, rule(call), scores_);
    }
  }
  return fixed != nullptr;
}

void Tiles::see_edge(const AttendCall& call, const Edge& edge) {
  load(call, edge.keys());
  for (Pos i = 0; i < n_tiles(); ++i) {
    kernel::TileMask mask;
    if (mask_tile(call, edge, i, mask)) kernel::visit(tile(i), block_, mask, rule(call), scores_);
  }
}

bool Tiles::mask_tile(const AttendCall& call, const Edge& edge, Pos tile, kernel::TileMask& out) const {
  const Pos first = tile * kRows;
  const Pos n_rows = std::min(kRows, rows_.size() - first);
  const Range keys = edge.keys();
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
  out = {.visible = all ? nullptr : visible_, .bias = bias_};
  return any != 0;
}

float Tiles::finish(Pos row, float* o) const {
  const float* column = o_ + row / kRows * v_dim_ * kRows + row % kRows;
  const float sum = row_sum_[row];
  for (Pos i = 0; i < v_dim_; ++i) o[i] = sum == 0 ? 0.0F : column[i * kRows] / sum;
  return lse_of(row_max_[row], sum);
}

}  // namespace saccade::detail
