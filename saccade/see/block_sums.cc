#include "saccade/see/block_sums.h"

#include <algorithm>

#include "saccade/see/parts/grid.h"

namespace saccade::see {

bool BlockSums::keeps(int head) const { return heads.empty() || std::ranges::find(heads, head) != heads.end(); }

void BlockSums::begin(const LookShape& shape) {
  const auto size = static_cast<std::size_t>(n * n);
  sums_.resize(static_cast<std::size_t>(shape.n_heads));
  maxima_.resize(sums_.size());
  for (std::size_t head = 0; head < sums_.size(); ++head) {
    if (!keeps(static_cast<int>(head))) continue;
    sums_[head].resize(size, 0.0F);
    if (maxima) maxima_[head].resize(size, 0.0F);
  }
}

void BlockSums::observe(const WeightTile& tile) {
  if (sums(tile.head).empty()) return;
  const Range keys{0, std::min(tile.k_positions.end, text_len) - tile.k_positions.begin};
  if (keys.empty()) return;
  const Pos last = std::min(tile.q_positions.end, text_len);
  for (Pos q = tile.q_positions.begin; q < last;) {
    const Pos end = std::min(positions(block_of(q)).end, last);
    add(tile, {q - tile.q_positions.begin, end - tile.q_positions.begin}, keys);
    q = end;
  }
}

/// Rows of one block of queries: first down each column, where vectors are whole, then along the blocks of keys.
void BlockSums::add(const WeightTile& tile, Range rows, Range columns) {
  float some_rows[WeightTile::kMostKeys];
  float column_maxima[WeightTile::kMostKeys];
  const auto head = static_cast<std::size_t>(tile.head);
  const Pos block = block_of(tile.q_positions.begin + rows.begin) * n;
  const bool all_rows = rows == Range{0, tile.n_queries()};
  const float* column_sums = all_rows ? tile.column_sums : some_rows;
  if (!all_rows) kernel::sum_columns(grid_of(tile, rows, columns), some_rows, nullptr);
  if (maxima) kernel::max_columns(grid_of(tile, rows, columns), column_maxima);
  for (Pos j = 0; j < columns.end;) {
    const Pos key = tile.k_positions.begin + j;
    const auto at = static_cast<std::size_t>(block + block_of(key));
    const Pos end = std::min(j + positions(block_of(key)).end - key, columns.end);
    float sum = 0.0F;
    float high = 0.0F;
    for (Pos i = j; i < end; ++i) sum += column_sums[i];
    if (maxima) high = *std::max_element(column_maxima + j, column_maxima + end);
    sums_[head][at] += sum;
    if (maxima) maxima_[head][at] = std::max(maxima_[head][at], high);
    j = end;
  }
}

double BlockSums::mean(int head, Pos q_block, Pos k_block) const {
  const Pos pairs = positions(q_block).size() * positions(k_block).size();
  const float sum = sums(head)[static_cast<std::size_t>(q_block * n + k_block)];
  return pairs == 0 ? 0.0 : static_cast<double>(sum) / static_cast<double>(pairs);
}

}  // namespace saccade::see
