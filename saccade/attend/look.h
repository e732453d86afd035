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
/// Units     lse in natural log, as attend saved it. Scores are those of bf16 tiles where attention's are (precision
///           bf16, or auto where it takes that; more than 8 rows), from keys less the same centre. Everything else is
///           looked at in f32: behind attention in 16-bit fixed point a row's weights add up to 1 only within the error
///           of that precision
/// Requires  what attend requires; probes that have seen the same number of heads before
/// Errors    as attend
/// Accuracy  of a weight: as in a plain f32 loop that is given the same lse. In bf16 scores have the error of that
///           (visit_bf16), the exponential has that of f32: a row's weights add up to 1 within 0.4 %, which is how well
///           attention's rounded weights were summed up in lse. Blocks of 64 queries that see NaN or inf run in f32;
///           in keys that none of a block sees they change no bit, but through the centre of all keys. (Attention runs
///           in f32 for other blocks than these: beside NaN and inf the two have scores of different precision)
/// Cost      2 head_dim FLOP and an exponential a pair of the visited tiles, and what the probes take: at head_dim 64
///           0.6 of attention in f32, 0.9 in bf16. Memory O((workers + n_heads) head_dim) and up to 8 MiB of rounded
///           keys, never q_len x kv_len. Same bits for any team size on one CPU target; in bf16 the matrix unit and its
///           emulation give the same
/// Source    the recomputation of weights from lse: FlashAttention's backward pass, arXiv:2205.14135, section 3.1
void look(const AttendCall& call, const float* lse, std::span<Probe* const> probes, Team& team, Workspace& workspace);

}  // namespace saccade
