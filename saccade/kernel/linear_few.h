#pragma once

#include <cstddef>
#include <cstdint>

#include "saccade/base/param_format.h"
#include "saccade/kernel/linear.h"

namespace saccade::kernel {

/// Few tokens times parameters in ggml's plain blocks, for CPUs with AVX-512 VNNI: a decode step, which takes as long
/// as reading the parameters does. So they are multiplied as the whole numbers that they are stored as, 64 with one
/// vpdpbusd, and tokens are rounded to 8 bits.
///
///   each 4 elements of a token have a scale of their own, their largest / 127: they share a lane, whatever its scale
///   least values, and what whole numbers are counted from, meet the sums of the rounded token
///
/// A rounded token of normal data is off by 2.6e-3 of its norm; ggml's, with a scale for 32 or 256 elements, by 5e-3 or
/// 6e-3.
inline constexpr int kFewTokens = 6;  ///< at a time: with 4 rows 24 sums, in 32 registers
inline constexpr int kFewRows = 4;

/// Formats whose blocks hold small whole numbers of one row.
constexpr bool is_few(ParamFormat type) { return block_of(type).n_params > 1 && block_of(type).n_rows == 1; }

/// Bytes of a rounded token: for each 64 elements 64 whole numbers, 16 scales, and 16 of what their sums give.
constexpr std::ptrdiff_t few_token_bytes(Pos dim) { return (dim + 63) / 64 * 192; }

/// One token to 8 bits, for parameters of this type. One that holds NaN or inf gives NaN everywhere.
/// Shapes    x [dim]; out [few_token_bytes(dim)], aligned to 64 bytes
/// Requires  has_linear(), is_few(type); dim a multiple of the type's block
void fix_few_token(ParamFormat type, const float* x, Pos dim, std::byte* out) noexcept;

/// y[t][r] = rows[r] . tokens[t]. The result of a row and a token depends on nothing else.
/// Shapes    rows: n_rows, `row_stride` bytes apart; tokens: n_tokens, as fix_few_token leaves them for this type;
///           y [n_tokens, n_rows], `y_stride` floats from token to token
/// Requires  as fix_few_token
/// Cost      reads the parameters once for each kFewTokens tokens; 4 or 5 instructions for 64 products
void multiply_few(ParamFormat type, const std::byte* rows, std::ptrdiff_t row_stride, int n_rows, Pos dim,
                  const std::byte* tokens, int n_tokens, float* y, std::ptrdiff_t y_stride) noexcept;

}  // namespace saccade::kernel
