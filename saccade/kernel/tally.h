#pragma once

#include <cstddef>
#include <cstdint>

namespace saccade::kernel {

/// A rectangle of weights, none of them negative (but for dot_rows).
struct Grid {
  const float* at = nullptr;
  std::ptrdiff_t stride = 0;  ///< floats from row to row
  int n_rows = 0, n_columns = 0;
};

/// Sums over rectangles of a map, in f32. Any alignment; n_columns at most 128 for those of columns.
/// Cost: one vector instruction a vector of weights, except as told.

/// sums[column] = the sum over the rows; squares[column] = the sum of squares; null: not wanted (an instruction less).
void sum_columns(const Grid& grid, float* sums, float* squares) noexcept;
/// maxima[column] = the largest over the rows.
void max_columns(const Grid& grid, float* maxima) noexcept;
/// sums[row] = the sum over the columns.
void sum_rows(const Grid& grid, float* sums) noexcept;
/// maxima[row] = the largest over the columns.
void max_rows(const Grid& grid, float* maxima) noexcept;
/// dots[row] = the sum over the columns of weight times x[row * x_stride + column].
void dot_rows(const Grid& grid, const float* x, std::ptrdiff_t x_stride, float* dots) noexcept;
/// out[row * out_stride + column] = or += weight * scale, rounded to a whole number: sums whose order does not matter.
/// Three instructions a vector.
void put_whole(const Grid& grid, float scale, std::int32_t* out, std::ptrdiff_t out_stride) noexcept;
void add_whole(const Grid& grid, float scale, std::int32_t* out, std::ptrdiff_t out_stride) noexcept;

/// sums[i] = the sum over the parts; returns the largest, at least 0. n: at most 128.
/// Two instructions a vector and part.
std::int32_t sum_whole(const std::int32_t* const* parts, int n_parts, int n, std::int32_t* sums) noexcept;
/// Bit i % 32 of words[i / 32]: weights[i] > floor. n: at most 128; all four words are written.
void mark_above(const float* weights, int n, float floor, std::uint32_t* words) noexcept;

}  // namespace saccade::kernel
