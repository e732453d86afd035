#pragma once

#include <cstddef>
#include <cstdint>

#include "saccade/base/param_format.h"
#include "saccade/kernel/bf16.h"

namespace saccade::kernel {

/// Matrix products in bf16 tiles, for Intel's matrix unit (AMX). Tokens are left operands, 16 of them and 32 dimensions
/// to a tile; rows of parameters are right ones, 32 dimensions and 16 rows; so a sum holds 16 rows of 16 tokens side by
/// side, as results lie, and is stored where it belongs without being turned.
///
/// Numbers are rounded to the nearest bf16 (8 bits), or stand as two terms, bf16 each, that have 16 bits together;
/// products are exact, sums f32 with denormals taken as 0. Terms of a step are steps of their own, one behind the
/// other.
///
/// Where there is no matrix unit, vectors give the same bits, slowly (tile_units-inl.h): for tests and judgement.
inline constexpr int kStepDims = 32;                                          ///< dimensions of a tile
inline constexpr int kStepTokens = 2 * kTileSide, kStepRows = 2 * kTileSide;  ///< that share their loads

/// Tile products a step, as many as it takes to err less than ggml, relative to the norm on normal data:
///   1  token high x params high                       2.3e-3; ggml's 8-bit tokens 5e-3
///   2  and token low x params high, for bf16          2.4e-6; ggml's tokens in bf16 1.7e-3
///   3  and token high x params low, for f16           4e-6; ggml's tokens in f16 2e-4
constexpr int terms_of(ParamFormat type) {
  if (type == ParamFormat::f16) return 3;
  return type == ParamFormat::bf16 ? 2 : 1;
}
constexpr int steps_of(int n_dims, int terms) { return round_up(n_dims, kStepDims) / kStepDims * terms; }

/// A token to its row of tiles: zeros behind the n-th number, up to whole steps. n 0: a token that is not there.
/// Shapes    x [n]; out: row of the first of steps_of(n_dims, terms) tiles, the next one's kTileWords further on
/// Requires  has_linear(); out aligned to 64 bytes
void round_token(const float* x, int n, int n_dims, int terms, std::uint32_t* out) noexcept;

/// Up to 16 rows of parameters to tiles, which hold the dimensions in pairs and the rows side by side; rows and
/// dimensions that are missing are zeros.
/// Shapes    rows: first byte of the first of n dimensions in the first row, `stride` bytes to the next, or to the next
///           that lie in one block; tiles [steps_of(n, terms_of(type)), kTileWords], aligned to 64 bytes
/// Requires  has_linear(); n a multiple of the type's block
/// Cost      decoding (expand.h) and, for each 32 parameters and term, 1 rounding, 4 shuffles, 3 loads and stores
void round_params(ParamFormat type, const std::byte* rows, std::ptrdiff_t stride, int n_rows, int n,
                  std::uint32_t* tiles) noexcept;

/// Some dimensions of some tokens, and of some rows of parameters.
struct Bf16Product {
  const std::uint32_t* tokens = nullptr;  ///< [tokens / 16, n_steps] tiles
  std::ptrdiff_t tokens_stride = 0;       ///< words from 16 tokens to the next
  const std::uint32_t* params = nullptr;  ///< [rows / 16, n_steps] tiles without a gap
  int n_steps = 0, n_tokens = 0, n_rows = 0;
};

/// Where results go.
struct Bf16Results {
  float* y = nullptr;            ///< [n_tokens, n_rows]
  std::ptrdiff_t stride = 0;     ///< floats from one token to the next
  float* const* rows = nullptr;  ///< where each token's results begin, in place of y and stride; null: as those say
  bool add = false;              ///< to what is there: the sums of the dimensions before
};

/// y = tokens params^T, or that added to y. The result of a row and a token depends on nothing else, and cutting the
/// dimensions into several products that add changes no bit of it.
///
/// Requires  has_bf16(); a MatrixSession on this thread
/// Errors    none, noexcept. NaN or inf in a token or a row of parameters stays in its results
/// Cost      a step of 32 tokens and 32 rows: 4 tile products, begun in 64 cycles, and 4 loads of 1 KiB, which take
///           32 cycles from the first-level cache and 64 or more from the second. Tokens are read once, `params` once
///           for each 32 tokens
/// Source    Intel 64 and IA-32 Software Developer's Manual, TDPBF16PS: what a tile product rounds, in which order
void multiply_bf16(const Bf16Product& product, const Bf16Results& results) noexcept;

}  // namespace saccade::kernel
