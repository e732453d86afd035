#pragma once

#include <cstddef>
#include <cstdint>

#include "saccade/base/param_format.h"
#include "saccade/kernel/fixed.h"

namespace saccade::kernel {

/// Matrix products in 16-bit fixed point, for CPUs with AVX-512 VNNI and no matrix unit: rows of parameters lie in
/// lanes, tokens are broadcast, two elements to a 32-bit word.
///
///   each kChunk elements of a row, of parameters or of a token, times their own scale, rounded to 16 bits,
///   |params_int| |token_int| < 2^31, so that no dot product of a chunk overflows
/// Products are exact, sums of a chunk are 32-bit integers, chunks are added up in f32.
///
/// A rounded chunk of normal data is off by 1e-4 of its norm; ggml's 8-bit activations by 5e-3 (docs/decisions/0008).
inline constexpr int kChunk = 256;              ///< elements that share a scale: the largest block of any type
inline constexpr int kTileParams = 64;          ///< rows in lanes: with 6 tokens 24 sums, in 32 registers
inline constexpr int kTileTokens = 6;           ///< tokens at a time
inline constexpr float kChunkNorm = 46000.0F;   ///< largest |ints| of a chunk: its square plus rounding is < 2^31
inline constexpr float kSmallestNorm = 1e-30F;  ///< a chunk below it counts as zero
inline constexpr int kChunkWords = kChunk / 2;  ///< two elements each
inline constexpr int kParamTileWords = kChunkWords * kTileParams;

/// Can this CPU, on the target in force (targets.h), run the kernels below?
inline bool has_linear() noexcept { return has_fixed(); }

/// Words that `n` elements take: whole vectors, zeros behind the last.
constexpr int words_of(int n) { return (n + 31) / 32 * 16; }

/// One chunk of many tokens to 16 bits. A scale is what an integer stands for, NaN where the chunk holds NaN or inf.
/// Shapes    x [n_tokens, n] with `stride` floats from token to token; words [n_tokens, words_of(n)]; scales [n_tokens]
void fix_tokens(const float* x, std::ptrdiff_t stride, int n_tokens, int n, std::int32_t* words,
                float* scales) noexcept;

/// The same chunk of up to kTileParams rows of parameters, rows in lanes; rows that are missing are zeros.
/// Shapes    rows: first byte of the chunk in the first row, `stride` bytes to the next, or to the next that lie in one
///           block;
///           words [words_of(n), kTileParams] and scales [kTileParams], aligned to 64 bytes
void fix_params(ParamFormat type, const std::byte* rows, std::ptrdiff_t stride, int n_rows, int n, std::int32_t* words,
                float* scales) noexcept;

/// Asks for the parameters that the same fix_params will read soon.
void prefetch_params(ParamFormat type, const std::byte* rows, std::ptrdiff_t stride, int n_rows, int n) noexcept;

/// One chunk of a tile: kTileParams rows of parameters times some tokens.
struct TileProduct {
  const std::int32_t* params = nullptr;  ///< [n_words, kTileParams], as fix_params leaves them
  const float* param_scales = nullptr;   ///< [kTileParams]
  const std::int32_t* tokens = nullptr;  ///< [n_tokens, n_words], as fix_tokens leaves them
  const float* token_scales = nullptr;   ///< [n_tokens]
  int n_words = 0;
  int n_tokens = 0;
};

/// What the chunks before gave, and where the sum goes; may be the same memory.
struct TileSums {
  const float* before = nullptr;  ///< [n_tokens, kTileParams], aligned to 64 bytes; null: zeros
  float* after = nullptr;         ///< [n_tokens, n_rows]
  std::ptrdiff_t stride = 0;      ///< floats from one token to the next in `after`
  int n_rows = kTileParams;       ///< that are written
};

/// after = before + params tokens^T. The result of a row and a token depends on nothing else.
/// Cost      n_words vpdpwssd for each 16 rows and token: at the multipliers' limit while `params` (32 KiB at most)
///           stays close
void multiply(const TileProduct& product, const TileSums& sums) noexcept;

}  // namespace saccade::kernel
