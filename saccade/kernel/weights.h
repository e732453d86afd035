#pragma once

#include <cstddef>
#include <cstdint>

#include "saccade/kernel/visit.h"

namespace saccade::kernel {

/// Queries against a block of keys.
template <class Operand>
struct WeightsJobOf {
  const Operand* q = nullptr;
  const Operand* k = nullptr;              ///< kBlockKeys keys, zeros behind the last
  const double* lse = nullptr;             ///< [n_queries], in units of log2
  const std::uint32_t* visible = nullptr;  ///< [n_queries, kBlockKeys / 32]; null: all visible
  const float* bias = nullptr;             ///< [n_queries, kBlockKeys], added to scaled scores; null: none
  int n_queries = 0;
  int n_keys = 0;  ///< 1 to kBlockKeys
  int head_dim = 0;
};
/// q [n_queries, head_dim], and k [head_dim, kBlockKeys], as transpose_keys leaves it: positions lie in lanes.
using WeightsJob = WeightsJobOf<float>;

/// Rows of keys [n_keys, head_dim] to [head_dim, kBlockKeys], zeros behind the last key. head_dim: a multiple of 8.
void transpose_keys(const float* rows, int n_keys, int head_dim, float* out) noexcept;

/// Weights of known normaliser, and their logarithms.
///   weights = 2^(score - lse), log2_weights = score - lse, at least -127; both 0 where hidden and behind the last key
///
/// Shapes    weights, log2_weights [n_queries, kBlockKeys]; row_sums [n_queries]
/// Requires  64-byte aligned k, weights and log2_weights
/// Accuracy  f32; exp2 within 1.9e-7 of itself, weights below 2^-126.5 are zero. The dots are added in the order of
///           `visit`, so that what a large score loses to rounding cancels against an lse from there
/// Cost      2 head_dim FLOP a pair and about 14 vector instructions a vector of pairs
void find_weights(const WeightsJob& job, ScoreRule rule, float* weights, float* log2_weights, float* row_sums) noexcept;

}  // namespace saccade::kernel
