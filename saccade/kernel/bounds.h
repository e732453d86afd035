#pragma once

#include <cstddef>
#include <cstdint>

namespace saccade::kernel {

/// Blocks of keys that lie side by side in a panel of bounds.
inline constexpr int kBoundLanes = 16;

/// At most this many queries are scored together.
inline constexpr int kBoundQueries = 8;

/// Queries [n_queries, dim] to the form score_bounds reads: [dim][2][n_queries], for each channel what multiplies the
/// largest keys, max(q_c, 0), and what multiplies the least ones, min(q_c, 0). NaN stays NaN in both.
void pack_bound_queries(const float* q, int n_queries, int dim, float* out) noexcept;

/// The most that each query can score with a key of each block, from the least and largest key of the block:
///   out[i, t] = sum_c max(q_i,c least_t,c, q_i,c most_t,c)
///
/// Shapes    panels: f16 [n_panels][2 dim][kBoundLanes], the blocks' least keys channel by channel, then the largest;
///           q as pack_bound_queries leaves it; out f32
///           [n_queries, n_panels x kBoundLanes], rows `out_stride` floats apart
/// Requires  1 <= n_queries <= kBoundQueries
/// Errors    none, noexcept. A sum that is NaN (a bound or a query that is not finite) gives +inf: look, to be safe.
/// Accuracy  f32 sums in the channels' order; lanes of blocks that are not there hold anything
/// Cost      4 dim n_queries FLOP and 4 dim bytes a block
/// Source    Quest, arXiv:2406.10774
void score_bounds(const std::uint16_t* panels, int n_panels, const float* q, int n_queries, int dim, float* out,
                  std::ptrdiff_t out_stride) noexcept;

}  // namespace saccade::kernel
