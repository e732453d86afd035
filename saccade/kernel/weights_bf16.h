#pragma once

#include <cstdint>

#include "saccade/kernel/bf16.h"
#include "saccade/kernel/visit.h"
#include "saccade/kernel/weights.h"

namespace saccade::kernel {

/// Operands in tiles of 16 queries, or 16 keys, x 32 dimensions (tile (r, s) as in bf16.h): q from round_keys, to which
/// queries are rows like any others, k from round_keys and turn_tiles.
using Bf16WeightsJob = WeightsJobOf<std::uint32_t>;

/// Left operands become right ones, in place: words [16, 16] of each tile are turned.
///
/// Requires  has_bf16(); 64-byte alignment
void turn_tiles(std::uint32_t* tiles, int n_tiles) noexcept;

/// As `find_weights`, from scores of bf16 tiles: the very scores that `visit_bf16` weighs.
///   weights = 2^(score - lse), 0 where hidden and behind the last key;  row_log_sums = sum of weight (score - lse)
///
/// Shapes    weights [n_queries, kBlockKeys]; row_sums, row_log_sums [n_queries]; row_log_sums null: not wanted
/// Requires  has_bf16(); finite q and k; a MatrixSession on this thread; 64-byte aligned q, k and weights;
///           score - lse below 127, as it is where lse is of these scores
/// Accuracy  scores as in visit_bf16; exp2 within 1.9e-7 of itself, weights below 2^-126 are zero; sums in f32
/// Cost      2 head_dim FLOP a pair on the matrix unit and 12 vector instructions a vector of pairs, 13 with logarithms
void find_weights_bf16(const Bf16WeightsJob& job, ScoreRule rule, float* weights, float* row_sums,
                       float* row_log_sums) noexcept;

}  // namespace saccade::kernel
