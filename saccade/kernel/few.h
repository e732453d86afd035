#pragma once

#include <cstddef>
#include <cstdint>

#include "saccade/base/view.h"
#include "saccade/kernel/visit.h"

namespace saccade::kernel {

/// Up to this many rows at least half of a tile's 16 lanes would idle. (Where exactly `visit_few` stops being the
/// faster one has not been measured.)
inline constexpr int kFewRows = 8;

/// One row for each key of a block: evenly spaced, or, where `list` is not null, each where the list says.
struct RawRows {
  const std::byte* at = nullptr;
  std::ptrdiff_t stride = 0;               ///< bytes from key to key
  const std::byte* const* list = nullptr;  ///< [n_keys]
};

/// A block of keys and values as they lie in the cache; they are converted in registers, on the way.
struct RawBlock {
  DType k_dtype = DType::f16, v_dtype = DType::f16;
  RawRows k, v;              ///< with or without list, all four alike
  RawRows k_ahead, v_ahead;  ///< memory to ask for meanwhile, never read, so that it may lie beyond the cache
  int n_keys = 0;            ///< 1 to kBlockKeys
  int head_dim = 0;          ///< of the keys and queries
  int v_dim = 0;             ///< of the values and o
};

/// The running softmax of a few rows, row by row (a decode step: one query in the heads of a group).
struct FewRows {
  const float* q = nullptr;  ///< as pack_few leaves it
  float* o = nullptr;        ///< [kFewRows, v_dim], not yet divided by row_sum
  float* row_max = nullptr;  ///< [kFewRows], in units of log2; -inf: nothing seen
  float* row_sum = nullptr;  ///< [kFewRows]
  int n_rows = 0;            ///< 1 to kFewRows; rows beyond are computed, some of them, and ignored
  float* scores = nullptr;   ///< [n_keys, kTileRows] written, in units of log2, for note_scores; null: not wanted
};

/// What each row sees of the block, where not all of them see all of it.
struct FewMask {
  const std::uint32_t* visible = nullptr;  ///< [n_rows, kBlockKeys / 32]; null: all visible
  const float* bias = nullptr;             ///< [n_rows, kBlockKeys], added to scaled scores; null: none
};

/// Floats that pack_few writes at most.
constexpr int packed_few(int head_dim) { return kFewRows * ((head_dim + 15) / 16 * 16); }

/// Queries [n_rows, head_dim] to the form the kernel reads, in an order of its own. `head_dim` is a multiple of 8.
void pack_few(const float* q, int n_rows, int head_dim, float* out) noexcept;

/// The same as `visit` (see there), for few rows: lanes hold dimensions beside rows, so that few of them idle.
///
/// Requires  64-byte aligned buffers; `scores`: scratch of kFewRows x kBlockKeys floats
/// Cost      2 (head_dim + v_dim) n_keys n_rows FLOP, a third row as four; each key and value read from memory once
void visit_few(const FewRows& rows, const RawBlock& block, const FewMask& mask, ScoreRule rule, float* scores) noexcept;

}  // namespace saccade::kernel
