#include "saccade/where/parts/row_tiles.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "saccade/base/error.h"
#include "saccade/kernel/fixed.h"
#include "saccade/kernel/score.h"
#include "saccade/where/parts/parallel.h"

namespace saccade {
namespace {

constexpr Pos kTile = kernel::kTileRows;

constexpr Pos tiles_for(Pos n) { return (n + kTile - 1) / kTile; }

/// Rows in 16 bits, and what an integer of each stands for.
struct FixedRows {
  explicit FixedRows(const Rows& rows)
      : values(static_cast<std::size_t>(rows.n * rows.dim)), scale(static_cast<std::size_t>(rows.n)) {
    for (Pos i = 0; i < rows.n; ++i) {
      scale[static_cast<std::size_t>(i)] =
          kernel::fix_row(rows.row(i), static_cast<int>(rows.dim), values.data() + i * rows.dim);
    }
  }
  std::vector<std::int16_t> values;
  std::vector<float> scale;
};

}  // namespace

RowTiles::RowTiles(Pos n, Pos dim, Team& team, const std::function<Rows(Range)>& rows)
    : dim_(dim), fixed_(kernel::has_fixed() && dim % 8 == 0 && dim <= kernel::kWidestFixedRow) {
  const Pos n_tiles = tiles_for(n);
  const auto some = [&](Pos i) { return rows({i * kTile, std::min((i + 1) * kTile, n)}); };
  if (fixed_) {
    tiles_.reserve(static_cast<std::size_t>(n_tiles * kTile * dim) * sizeof(std::int16_t));
    scales_.reserve(static_cast<std::size_t>(n_tiles * kTile) * sizeof(float));
    parallel_for_or_throw(team, n_tiles, [&](Pos i) { lay_fixed(i, some(i)); });
    const std::span scales(reinterpret_cast<const float*>(scales_.data()), static_cast<std::size_t>(n));
    fixed_ = std::ranges::none_of(scales, [](float scale) { return std::isnan(scale); });
  }
  if (!fixed_) {
    tiles_.reserve(static_cast<std::size_t>(n_tiles * kTile * dim) * sizeof(float));
    parallel_for_or_throw(team, n_tiles, [&](Pos i) {
      const Rows part = some(i);
      kernel::pack_tile(part.values.data(), static_cast<int>(part.n), static_cast<int>(dim), tile<float>(i));
    });
  }
}

Pos RowTiles::width(Pos n_b) { return tiles_for(n_b) * kTile; }

void RowTiles::multiply(Rows a, float scale, Pos n_b, float* out) const {
  SACCADE_ASSERT(a.dim == dim_, "rows of one width");
  const int n = static_cast<int>(a.n), dim = static_cast<int>(dim_);
  if (!fixed_) {
    for (float& x : a.values) x *= scale;
    for (Pos i = 0; i < tiles_for(n_b); ++i) {
      kernel::dot_tile(a.values.data(), n, tile<float>(i), dim, out + i * kTile, width(n_b));
    }
    return;
  }
  FixedRows fixed(a);
  for (float& x : fixed.scale) x *= scale;
  const auto* scales = reinterpret_cast<const float*>(scales_.data());
  for (Pos i = 0; i < tiles_for(n_b); ++i) {
    kernel::dot_tile_fixed(fixed.values.data(), fixed.scale.data(), n, tile<std::int32_t>(i), scales + i * kTile, dim,
                           out + i * kTile, width(n_b));
  }
}

/// A tile has as many words as elements in f32, half as many in 16 bits.
template <class T>
T* RowTiles::tile(Pos i) const {
  return reinterpret_cast<T*>(tiles_.data()) + i * kTile * (fixed_ ? dim_ / 2 : dim_);
}

void RowTiles::lay_fixed(Pos i, const Rows& some) {
  const FixedRows fixed(some);
  float* scales = reinterpret_cast<float*>(scales_.data()) + i * kTile;
  std::fill(std::ranges::copy(fixed.scale, scales).out, scales + kTile, 0.0F);
  kernel::pack_tile(reinterpret_cast<const float*>(fixed.values.data()), static_cast<int>(some.n),
                    static_cast<int>(dim_ / 2), tile<float>(i));  // moves bits
}

}  // namespace saccade
