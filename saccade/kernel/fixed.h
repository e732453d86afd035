#pragma once

#include <cstddef>
#include <cstdint>

#include "saccade/base/view.h"
#include "saccade/kernel/visit.h"

namespace saccade::kernel {

/// The visit kernel in 16-bit fixed point, for CPUs with AVX-512 VNNI and no matrix unit: one instruction multiplies
/// and adds 32 pairs where f32 does 16.
///
///   q, k      each row times its own scale, rounded to 16 bits, |q_int| |k_int| < 2^31: no dot product overflows
///   weights   relative to the row's largest in the block, rounded to steps of 2^-12
///   v         each dimension of the block times its own scale, rounded to 13 bits
///
/// Where not every row sees every key, keys must not share a scale: a key that a row does not see would touch what the
/// row rounds to. There each key's values have a scale of their own, and what is rounded in place of the weight is
/// weight times that scale.
///
/// Products are exact, sums are 32-bit integers; running maxima, sums and o stay f32.
///
/// A score is off by about 1e-5 |q| |k| scale (rounding q to f16 alone: 2e-5), o by at most a few 2^-12 of the largest
/// value. bf16, for comparison: 1e-4 and 2^-8.
inline constexpr int kWeightSteps = 4096;
inline constexpr int kValueSteps = 4095;  ///< 128 keys x 4096 x 4095 < 2^31
/// Largest |q_int| and |k_int| before rounding, which adds at most sqrt(head_dim) / 2 to either: by Cauchy and Schwarz
/// no sum of products, not even a part of one, leaves (46000 + 12)^2 < 2^31 for head_dim up to 576, nor (46000 + 256)^2
/// < 2^31 for the long rows of selectors (neighbouring keys one after the other).
inline constexpr float kRowNorm = 46000.0F;
inline constexpr int kWidestFixedRow = 512 * 512;
static_assert((kRowNorm + 256.5) * (kRowNorm + 256.5) < 2147483648.0 && kMaxHeadDim <= kWidestFixedRow);

/// Can this CPU, on the target in force (targets.h), run the kernels below?
bool has_fixed() noexcept;

/// Keys that go together where they are faint.
inline constexpr int kRunKeys = 8;

struct FixedBlock {
  const std::int16_t* k = nullptr;  ///< [n_keys, head_dim]
  const float* k_scale = nullptr;   ///< [n_keys]: k = k_int k_scale
  const std::int32_t* v = nullptr;  ///< [v_dim / 8, (v_keys + 1) / 2, 8]: two keys in one word, the earlier one low
  const float* v_scale = nullptr;   ///< [v_dim]; null where each key has its own
  const std::int32_t* v_runs = nullptr;  ///< as v, of sums of 8 keys; null where each key has its own scale
  const float* v_key_scale = nullptr;    ///< [n_keys]; null where each dimension has its own
  int n_keys = 0;                        ///< the first so many are visited
  int v_keys = 0;                        ///< >= n_keys: that v holds
  int head_dim = 0;                      ///< of q and k
  int v_dim = 0;                         ///< of v and o
};

struct FixedTile {
  const std::int32_t* q = nullptr;  ///< [head_dim / 2, kTileRows]: two dimensions in one word, the earlier one low
  const float* q_scale = nullptr;   ///< [kTileRows]
  float* o = nullptr;               ///< as in Tile
  float* row_max = nullptr;
  float* row_sum = nullptr;
  int n_rows = 0;
  const Notes* notes = nullptr;  ///< as in Tile
  float skip_log2 = kSkipNothing;
};

/// As `visit`, for finite inputs, without soft cap or bias. `scale` > 0 multiplies q.k. `visible` as in TileMask. Keys
/// too faint for skip_log2 go by runs of 8, for 16 rows together, but in blocks whose keys have scales of their own
/// (where/skip_softmax.h). Returns the pairs of a row in use and a key that went so.
///
/// Requires  has_fixed(); 64-byte aligned buffers; `scratch`: kBlockKeys x kTileRows floats; with a mask a block whose
///           keys have scales of their own
int visit_fixed(const FixedTile& tile, const FixedBlock& block, float scale, const std::uint32_t* visible,
                float* scratch) noexcept;

/// out[i, j] = a_i . b_j, rows b in the lanes of a tile, two dimensions in one word as in FixedTile::q; all rows as
/// fix_row leaves them, so that a product is off by about 1e-5 |a_i| |b_j|, by sqrt(dim) / 32,000 of that at most (all
/// roundings alike: by Cauchy and Schwarz), and NaN where a scale is.
///
/// Shapes    a [n_rows, dim], a_scale [n_rows]; tile [dim / 2, kTileRows], tile_scale [kTileRows];
///           out: kTileRows floats a row, rows `out_stride` floats apart
/// Requires  has_fixed(); 64-byte aligned tile, tile_scale and out, out_stride a multiple of 16; dim even,
///           <= kWidestFixedRow
void dot_tile_fixed(const std::int16_t* a, const float* a_scale, int n_rows, const std::int32_t* tile,
                    const float* tile_scale, int dim, float* out, std::ptrdiff_t out_stride) noexcept;

/// One row to 16 bits; returns what an integer stands for. Not finite (NaN) when the row, or its norm in f32, is not; a
/// row whose norm is below 1e-18, where squares vanish in f32, may become 0.
/// Requires  dim a multiple of 8, <= kWidestFixedRow
float fix_row(const float* row, int dim, std::int16_t* out) noexcept;

/// A block of f32 panels (as load_panels leaves them, all finite) to packed pairs and their scales.
void fix_panels(const float* panels, int n_keys, int dim, std::int32_t* out, float* scale) noexcept;

/// Sums of each 8 keys of a packed block, packed likewise: [dim / 8, (n_keys / 8 + 1) / 2, 8]. Keys after the last
/// whole 8 are left out.
void add_runs(const std::int32_t* v, int n_keys, int dim, std::int32_t* out) noexcept;

/// The same with a scale for each key, [n_keys]; a key that is not finite becomes 0, its scale NaN.
void fix_keys_apart(const float* panels, int n_keys, int dim, std::int32_t* out, float* scale) noexcept;

}  // namespace saccade::kernel
