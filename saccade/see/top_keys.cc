#include "saccade/see/top_keys.h"

#include <algorithm>
#include <bit>

#include "saccade/see/parts/grid.h"

namespace saccade::see {
namespace {

/// Puts a key where it belongs in a sorted list that it is known to enter.
void insert(std::span<TopKeys::Key> list, TopKeys::Key key) {
  std::size_t at = list.size() - 1;
  for (; at > 0 && key.weight > list[at - 1].weight; --at) list[at] = list[at - 1];
  list[at] = key;
}

}  // namespace

void TopKeys::begin(const LookShape& shape) {
  if (all_.empty()) q_positions_ = {shape.q_positions.begin, shape.q_positions.begin};
  q_positions_.end = std::max(q_positions_.end, shape.q_positions.end);
  const auto size = static_cast<std::size_t>(q_positions_.size() * k);
  all_.resize(size);
  by_head_.resize(per_head ? static_cast<std::size_t>(shape.n_heads) : 0);
  for (Lists& lists : by_head_) lists.resize(size);
  // Twice what n_heads weights of 1 add up to still fits: weights behind 16-bit attention may be a little more than 1.
  scale_ = 0x1p30F / static_cast<float>(std::bit_ceil(static_cast<std::uint32_t>(shape.n_heads)));
  sums_.resize(static_cast<std::size_t>(shape.n_workers));
}

void TopKeys::start(const LookPatch& patch) {
  patch_ = patch;
  tile_rows_ = std::min(WeightTile::kMostQueries, patch.q_positions.size());
  const auto tile_pairs = static_cast<std::size_t>(tile_rows_ * WeightTile::kMostKeys);
  const std::size_t tiles = tile_at(patch.q_positions.end - 1, patch.k_positions.end - 1) + 1;
  for (Sums& sums : sums_) {
    sums.pairs.resize(std::max(sums.pairs.size(), tiles * tile_pairs));
    sums.written.assign(tiles, 0);
  }
}

std::size_t TopKeys::tile_at(Pos q, Pos key) const {
  const Pos first = patch_.q_positions.begin / WeightTile::kMostQueries;
  const Pos across = (patch_.k_positions.size() + WeightTile::kMostKeys - 1) / WeightTile::kMostKeys;
  return static_cast<std::size_t>((q / WeightTile::kMostQueries - first) * across +
                                  (key - patch_.k_positions.begin) / WeightTile::kMostKeys);
}

std::int32_t* TopKeys::sums_of(Sums& sums, std::size_t tile, Pos q) const {
  const Pos first = std::max(q / WeightTile::kMostQueries * WeightTile::kMostQueries, patch_.q_positions.begin);
  return sums.pairs.data() + (static_cast<Pos>(tile) * tile_rows_ + q - first) * WeightTile::kMostKeys;
}

void TopKeys::observe(const WeightTile& tile) {
  Sums& own = sums_[static_cast<std::size_t>(tile.worker)];
  const std::size_t at = tile_at(tile.q_positions.begin, tile.k_positions.begin);
  std::int32_t* sums = sums_of(own, at, tile.q_positions.begin);
  own.written[at] != 0 ? kernel::add_whole(grid_of(tile), scale_, sums, WeightTile::kMostKeys)
                       : kernel::put_whole(grid_of(tile), scale_, sums, WeightTile::kMostKeys);
  own.written[at] = 1;
  if (per_head) observe_head(tile);
}

void TopKeys::observe_head(const WeightTile& tile) {
  float maxima[WeightTile::kMostQueries];
  kernel::max_rows(grid_of(tile), maxima);
  Lists& lists = by_head_[static_cast<std::size_t>(tile.head)];
  for (Pos i = 0; i < tile.n_queries(); ++i) {
    const std::span keys(lists.data() + (tile.q_positions.begin + i - q_positions_.begin) * k,
                         static_cast<std::size_t>(k));
    if (!(maxima[i] > keys.back().weight)) continue;
    const float* row = tile.row(i);
    std::uint32_t words[4];
    kernel::mark_above(row, static_cast<int>(tile.n_keys()), keys.back().weight, words);
    for (Pos w = 0; w < 4; ++w) {
      for (std::uint32_t bits = words[w]; bits != 0; bits &= bits - 1) {
        const Pos j = w * 32 + std::countr_zero(bits);
        if (row[j] > keys.back().weight) insert(keys, {static_cast<std::int32_t>(tile.k_positions.begin + j), row[j]});
      }
    }
  }
}

void TopKeys::finish(const LookPatch& patch, Team& team) {
  parallel_for(team, patch.q_positions.size(), [&](Pos row, int) { scan(patch, row); });
}

void TopKeys::want(RowWants& wants) {
  if (!per_head) fail_user("see/top_keys: the first pass knows the keys of each head only: set per_head");
  wants.n_top = std::max(wants.n_top, k);
}

void TopKeys::take(const RowSeen& row) {
  Lists& lists = by_head_[static_cast<std::size_t>(row.head)];
  std::ranges::copy(row.top.first(static_cast<std::size_t>(k)),
                    lists.begin() + (row.q_position - q_positions_.begin) * k);
}

/// Adds up what the workers have of a row, and lists the largest.
void TopKeys::scan(const LookPatch& patch, Pos row) {
  constexpr Pos kAtOnce = WeightTile::kMostKeys;
  const Pos n_keys = patch.k_positions.size();
  const std::span keys(all_.data() + (patch.q_positions.begin + row - q_positions_.begin) * k,
                       static_cast<std::size_t>(k));
  std::vector<const std::int32_t*> parts;
  for (Pos j = 0; j < n_keys; j += kAtOnce) {
    const Pos n = std::min(kAtOnce, n_keys - j);
    const std::size_t tile = tile_at(patch.q_positions.begin + row, patch.k_positions.begin + j);
    parts.clear();
    for (Sums& of_worker : sums_) {
      if (of_worker.written[tile] != 0) parts.push_back(sums_of(of_worker, tile, patch.q_positions.begin + row));
    }
    std::int32_t sums[kAtOnce];
    const std::int32_t most =
        kernel::sum_whole(parts.data(), static_cast<int>(parts.size()), static_cast<int>(n), sums);
    // The scale is a power of two: a listed weight times it is the sum it came from, rounded to f32.
    if (static_cast<float>(most) <= keys.back().weight * scale_) continue;
    for (Pos i = 0; i < n; ++i) {
      const float weight = static_cast<float>(sums[i]) / scale_;
      if (weight > keys.back().weight)
        insert(keys, {static_cast<std::int32_t>(patch.k_positions.begin + j + i), weight});
    }
  }
}

}  // namespace saccade::see
