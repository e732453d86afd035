#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "saccade/base/view.h"

namespace saccade {

// Which entries of a row of scores are kept. All four are deterministic: of equal scores the lower index comes first,
// NaN comes after everything else and weighs nothing. Results are ascending, each index once; `forced` indices (any
// order) are always among them. An index of `forced` outside the row is left out.

/// The k largest; forced ones count among the k, and stay when there are more of them than that.
/// Cost  O(n)
std::vector<std::int32_t> top_k(std::span<const float> scores, Pos k, std::span<const std::int32_t> forced = {});

/// Whether the entry with which the sum first passes p still belongs to the kept ones.
enum class Crossing : std::uint8_t {
  kExclude,  ///< kept: the longest beginning whose sum is <= p
  kInclude,  ///< kept: the shortest beginning whose sum is >= p
};

/// The largest entries that together make up the share p of the sum of all, largest first after the forced ones, which
/// count into the sum. p >= 1 keeps everything.
///
/// Requires  weights >= 0
/// Accuracy  sums in fp64
/// Cost      O(n): sorted digit by digit
std::vector<std::int32_t> top_p(std::span<const float> weights, double p, Crossing crossing,
                                std::span<const std::int32_t> forced = {});

/// top_p for several shares at once: of each entry the first of `shares` (ascending) that keeps it, or shares.size().
///
/// Requires  as top_p; at most 254 shares
/// Cost      that of top_p for the last share
std::vector<std::uint8_t> top_p_levels(std::span<const float> weights, std::span<const double> shares,
                                       Crossing crossing, std::span<const std::int32_t> forced = {});

/// The entries whose level is at most `level`.
std::vector<std::int32_t> up_to(std::span<const std::uint8_t> levels, std::size_t level);

/// Those of at least `threshold`. Cost O(n)
std::vector<std::int32_t> at_least(std::span<const float> scores, float threshold,
                                   std::span<const std::int32_t> forced = {});

/// How many of the largest entries it takes to pass each share p of the sum: #{cumsum(sorted descending) <= p sum} + 1,
/// at most the number of entries, and all of them for p >= 1.
///
/// Requires  weights >= 0; ascending shares
/// Accuracy  sums in fp64
/// Cost      O(n) for all shares together; nothing is sorted but a few entries near the crossings
/// Source    FlexPrefill, arXiv:2502.20766, algorithm 3
std::vector<Pos> counts_to_cover(std::span<const float> weights, std::span<const double> shares);

}  // namespace saccade
