#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "saccade/base/view.h"
#include "saccade/kernel/notes.h"

namespace saccade::kernel {

/// Rows (one query, one head) side by side in the lanes of a tile: 3 AVX-512, 6 AVX2 or 12 SSE vectors. With 8 keys
/// (AVX-512) that makes 24 accumulators of 32 registers and 11 loads for 24 multiply-adds, so that loads never bind.
inline constexpr int kTileRows = 48;
/// Keys converted and visited at a time: scores of a tile take 128 x 48 x 4 = 24 KiB, half of a 48 KiB L1.
inline constexpr int kBlockKeys = 128;
/// Widest rows of q and k, and of v and o: DeepSeek's latent attention has keys of 576.
inline constexpr int kMaxHeadDim = 576;
/// Values lie in panels of 8 dimensions.
inline constexpr int kPanel = 8;

/// A block of keys and values in f32, shared by all tiles that visit it.
struct KeyBlock {
  const float* k = nullptr;  ///< [n_keys, head_dim]
  const float* v = nullptr;  ///< [v_dim / 8, n_keys, 8]
  int n_keys = 0;            ///< 1 to kBlockKeys
  int head_dim = 0;          ///< of q and k
  int v_dim = 0;             ///< of v and o
  bool v_finite = true;      ///< no NaN or inf among the values
};

/// What each row sees of a block, where not all of them see all of it.
struct TileMask {
  const std::uint32_t* visible = nullptr;  ///< [(n_keys + 31) / 32, kTileRows]: bit j % 32 is key j; null: all visible
  const float* bias = nullptr;             ///< [n_keys, kTileRows], added to scaled scores; null: none
};

/// How a dot product becomes a score: softcap * tanh(scale * s / softcap), or scale * s without a cap. scale >= 0.
struct ScoreRule {
  float scale = 1.0F;
  float softcap = 0.0F;
};

/// The running softmax of a tile. Base 2 inside: row_max is in units of log2.
struct Tile {
  const float* q = nullptr;      ///< [head_dim, kTileRows]
  float* o = nullptr;            ///< [v_dim, kTileRows], not yet divided by row_sum
  float* row_max = nullptr;      ///< [kTileRows]; -inf: nothing seen
  float* row_sum = nullptr;      ///< [kTileRows]
  int n_rows = 0;                ///< rows in use; the lanes beyond are computed and ignored
  const Notes* notes = nullptr;  ///< what is kept beside, for probes; null: nothing
};

/// A share, as log2, of what a row has summed so far, below which keys need not be weighed one by one; this is: none.
inline constexpr float kSkipNothing = -std::numeric_limits<float>::infinity();

/// Adds what the rows of the tile see in the block to their running softmax.
///   s = rule(q.k) + bias;  m' = max(m, max s);  o = o exp(m - m') + exp(s - m') v
///
/// Requires  64-byte aligned buffers; `scores`: scratch of kBlockKeys x kTileRows floats
/// Accuracy  f32 throughout; exp2 within 1.9e-7 of itself, weights below 2^-126.5 of the row's largest are zero
///           Scores must stay below 1e9: beyond, the rounding of row_max alone is a factor that exp2 cannot hold.
/// Cost      2 (head_dim + v_dim) n_keys n_rows FLOP; about 14 vector instructions a score vector for the softmax
void visit(const Tile& tile, const KeyBlock& block, const TileMask& mask, ScoreRule rule, float* scores) noexcept;

/// Converts rows of `dim` elements to f32, contiguous. `dim` is a multiple of 8 and of block_len(dtype).
void load_rows(DType dtype, const std::byte* rows, std::ptrdiff_t row_stride, int n_rows, int dim, float* out) noexcept;

/// Converts rows of values to f32 panels [dim / 8, n_rows, 8]; returns whether all are finite.
bool load_panels(DType dtype, const std::byte* rows, std::ptrdiff_t row_stride, int n_rows, int dim,
                 float* out) noexcept;

}  // namespace saccade::kernel
