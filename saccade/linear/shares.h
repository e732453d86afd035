#pragma once

#include <algorithm>

#include "saccade/base/view.h"

// How tokens are cut, in i16 as in bf16.
namespace saccade::detail {

/// Tokens that share one decoding of the parameters. In i16 their sums over a tile, 256 KiB, stay in the second-level
/// cache; in bf16 decoding a parameter counts a tenth of the time in which the matrix unit multiplies it by so many.
inline constexpr Pos kBatch = 1024;
/// Fewer tokens than this are not worth decoding a tile for, if only balance asks for it.
inline constexpr Pos kFewestTokens = 96;

constexpr Pos over(Pos n, Pos by) { return (n + by - 1) / by; }

/// Tokens of each batch but the last, a multiple of `unit`, which divides kBatch.
constexpr Pos batch_of(Pos n_tokens, Pos unit) { return over(over(n_tokens, over(n_tokens, kBatch)), unit) * unit; }

/// Into how many parts the tokens of a batch are cut, so that no worker waits for long.
constexpr Pos parts_of(Pos n_tokens, Pos tiles, Pos n_workers) {
  const Pos most = std::max<Pos>(1, n_tokens / kFewestTokens);
  for (Pos parts = 1; parts < most; ++parts) {
    const Pos rounds = over(tiles * parts, n_workers);
    if (tiles * parts * 10 >= rounds * n_workers * 9) return parts;  // at most a tenth of the time idle
  }
  return most;
}

}  // namespace saccade::detail
