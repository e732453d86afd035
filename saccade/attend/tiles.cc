#include "saccade/attend/tiles.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace saccade::detail {
namespace {

constexpr Pos kRows = kernel::kTileRows;
constexpr float kNothing = -std::numeric_limits<float>::infinity();

constexpr Pos tiles_of(Pos n_rows) { return (n_rows + kRows - 1) / kRows; }

kernel::ScoreRule rule(const AttendCall& call) { return {.scale = std::abs(call.scale), .softcap = call.softcap}; }

}  // namespace

Tiles::Tiles(Layout& layout, Pos most_rows, Pos head_dim, bool with_bias)
    : head_dim_(head_dim),
      q_(layout.take<float>(tiles_of(most_rows) * head_dim * kRows)),
      o_(layout.take<float>(tiles_of(most_rows) * head_dim * kRows)),
      row_max_(layout.take<float>(tiles_of(most_rows) * kRows)),
      row_sum_(layout.take<float>(tiles_of(most_rows) * kRows)),
      k_(layout.take<float>(kernel::kBlockKeys * head_dim)),
      v_(layout.take<float>(kernel::kBlockKeys * head_dim)),
      scores_(layout.take<float>(kernel::kBlockKeys * kRows)),
      visible_(layout.take<std::uint32_t>(Edge::kWords * kRows)),
      bias_(with_bias ? layout.take<float>(kernel::kBlockKeys * kRows) : nullptr) {}

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
  std::fill_n(o_, n_tiles() * head_dim_ * kRows, 0.0F);
  std::fill_n(row_max_, n_tiles() * kRows, kNothing);
  std::fill_n(row_sum_, n_tiles() * kRows, 0.0F);
}

kernel::Tile Tiles::tile(Pos i) const {
  return {.q = q_ + i * head_dim_ * kRows,
          .o = o_ + i * head_dim_ * kRows,
          .row_max = row_max_ + i * kRows,
          .row_sum = row_sum_ + i * kRows,
          .n_rows = static_cast<int>(std::min(kRows, rows_.size() - i * kRows))};
}

kernel::KeyBlock Tiles::load(const AttendCall& call, Range keys) const {
  const int n_keys = static_cast<int>(keys.size());
  const int dim = static_cast<int>(head_dim_);
  const int head = rows_.set->kv_head;
  kernel::load_rows(call.k.dtype, call.k.row(keys.begin, head), call.k.len_stride, n_keys, dim, k_);
  const bool finite =
      kernel::load_panels(call.v.dtype, call.v.row(keys.begin, head), call.v.len_stride, n_keys, dim, v_);
  return {.k = k_, .v = v_, .n_keys = n_keys, .head_dim = dim, .v_finite = finite};
}

void Tiles::see_all(const AttendCall& call, Range keys) {
  const kernel::KeyBlock block = load(call, keys);
  for (Pos i = 0; i < n_tiles(); ++i) kernel::visit(tile(i), block, {}, rule(call), scores_);
}

void Tiles::see_edge(const AttendCall& call, const Edge& edge) {
  const kernel::KeyBlock block = load(call, edge.keys());
  for (Pos i = 0; i < n_tiles(); ++i) {
    kernel::TileMask mask;
    if (mask_tile(call, edge, i, mask)) kernel::visit(tile(i), block, mask, rule(call), scores_);
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
    for (Pos j = 0; j < keys.size(); ++j) bias_[j * kRows + r] = bias_at(call.bias, query, keys.begin + j);
  }
  out = {.visible = all ? nullptr : visible_, .bias = bias_};
  return any != 0;
}

float Tiles::finish(Pos row, float* o) const {
  const float* column = o_ + row / kRows * head_dim_ * kRows + row % kRows;
  const float sum = row_sum_[row];
  for (Pos i = 0; i < head_dim_; ++i) o[i] = sum == 0 ? 0.0F : column[i * kRows] / sum;
  return lse_of(row_max_[row], sum);
}

}  // namespace saccade::detail
