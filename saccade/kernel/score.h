#pragma once

#include <cstddef>
#include <cstdint>

#include "saccade/kernel/visit.h"

namespace saccade::kernel {

// What selectors compute: q.k for many rows at once, and sums of softmax weights. Rows of one side lie in the lanes of
// a tile, as queries do in visit(); here the lanes may hold keys.

/// Rows to lanes: tile[c, i] = rows[i, c], zeros beyond n_rows.
///
/// Shapes    rows [n_rows, dim], n_rows <= kTileRows; tile [dim, kTileRows], 64-byte aligned
/// Cost      about half an instruction an element
void pack_tile(const float* rows, int n_rows, int dim, float* tile) noexcept;

/// Lanes to rows, each over its sum: rows[i, c] = tile[c, i] / sums[i], or 0 where the sum is.
///
/// Shapes    tile [dim, kTileRows], sums [kTileRows], both 64-byte aligned; rows [n_rows, dim], n_rows <= kTileRows
/// Requires  dim a multiple of 8. The tile is spoilt.
/// Cost      about an instruction an element
void unpack_tile(float* tile, const float* sums, int n_rows, int dim, float* rows) noexcept;

/// out[i, j] = a_i . b_j, b in the lanes of a tile.
///
/// Shapes    a [n_rows, dim]; out: kTileRows floats a row, rows `out_stride` floats apart
/// Requires  64-byte aligned tile and out, out_stride a multiple of 16; any dim
/// Accuracy  f32, products summed in order of c
/// Cost      2 n_rows kTileRows dim FLOP, at the speed of visit()'s
void dot_tile(const float* a, int n_rows, const float* tile, int dim, float* out, std::ptrdiff_t out_stride) noexcept;

/// Turns a row of dot products into what the two below take (a soft cap is applied, in place), and returns the largest,
/// in units of log2; -inf of nothing.
float shape_row(float* row, int n, ScoreRule rule) noexcept;

/// Sum of 2^(score - row_max) over a shaped row. Requires row_max >= every score, in units of log2.
float sum_row(const float* row, int n, ScoreRule rule, float row_max) noexcept;

/// As sum_row, and keeps the weights 2^(score - row_max) in f16, with 11 bits and none below 2^-25.
float keep_row(const float* row, int n, ScoreRule rule, float row_max, std::uint16_t* kept) noexcept;

/// A shaped row to weights gain 2^(score - row_max), in place. (The sum as a factor, not as its logarithm: at scores of
/// 1e4 that would be worth 1e-3 of a weight.)
void weigh_row(float* row, int n, ScoreRule rule, float row_max, float gain) noexcept;

/// sums[j] += sum over rows of rows[r, j].
void add_columns(const float* rows, int n_rows, std::ptrdiff_t stride, int n, float* sums) noexcept;

/// Zeros that stand before and behind each row that add_kept adds.
inline constexpr int kKeptMargin = 32;

/// Rows of weights as keep_row leaves them, times a gain each, summed by column and along diagonals, one step to the
/// right from row to row:
///   columns[j] += sum over r of gain[r] kept[r, j]
///   diagonals[x] += sum over r of gain[r] kept[r, x - (n_rows - 1) + r], nothing outside a row
///
/// Shapes    kept [n_rows, n], rows `stride` elements apart, kKeptMargin zeros before and behind each; gain [n_rows],
///           finite; columns [n], diagonals [n + n_rows - 1], both with room for kKeptMargin more
/// Accuracy  f32, in the order of the rows
/// Cost      reads kept twice, the second time from the first cache
void add_kept(const std::uint16_t* kept, std::ptrdiff_t stride, int n_rows, int n, const float* gain, float* columns,
              float* diagonals) noexcept;

/// What the rows of a tile saw in a block, joined to one of several sums a row:
///   sums[level[i], 0, i] += factor[i] row_sum[i];  sums[level[i], 1 + c, i] += factor[i] o[c, i]
///
/// Shapes    o, row_sum as in Tile; factor, level [kTileRows]; sums [n_levels, 1 + v_dim, kTileRows]; all of them
///           64-byte aligned. Rows of level -1 are left out
/// Accuracy  f32, product and sum rounded
/// Cost      four instructions a vector of o and level in it
void add_by_level(const float* o, const float* row_sum, const float* factor, const std::int32_t* level, int v_dim,
                  float* sums) noexcept;

}  // namespace saccade::kernel
