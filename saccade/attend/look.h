#pragma once

#include <span>

#include "saccade/attend/attend.h"
#include "saccade/see/probe.h"

namespace saccade {

/// The second pass: computes the weights of every pair that `call` visits once more, from q, k and the saved lse, tile
/// by tile, and shows them to the probes. Nothing of the call is written; o and v are not even read.
///   weight = exp(score - lse), score as in attend
///
/// Shapes    call as for attend; lse [q_len, n_heads]
/// Units     lse in natural log, as attend saved it. Scores are computed in f32 whatever call.precision says: behind
///           attention in 16 bits a row's weights add up to 1 only within the error of that precision
/// Requires  what attend requires; probes that have seen the same number of heads before
/// Errors    as attend
/// Accuracy  of a weight: as in a plain f32 loop that is given the same lse
/// Cost      2 head_dim FLOP and an exponential a pair of the visited tiles, and what the probes take; memory
///           O(workers x head_dim), never q_len x kv_len. Same bits for any team size on one CPU target.
/// Source    the recomputation of weights from lse: FlashAttention's backward pass, arXiv:2205.14135, section 3.1
void look(const AttendCall& call, const float* lse, std::span<Probe* const> probes, Team& team, Workspace& workspace);

}  // namespace saccade
