#pragma once

#include <vector>

#include "saccade/base/buffer.h"
#include "saccade/where/parts/selection.h"

namespace saccade {

/// Where the last queries of a call look: the weights of softmax attention of those rows, summed over the rows by key
/// and by distance (not divided by the number of rows).
struct LastRows {
  Pos n_rows = 0;               ///< how many there were
  std::vector<float> column;    ///< [kv_len]: of each key
  std::vector<float> diagonal;  ///< [kv_len]: of each distance q_pos - k_pos
};

/// Looks at the last `n_rows` queries of the call (all of them, if there are fewer) in one query head, causally.
///
/// Requires  call.q_end() <= call.k.len, call.q.len >= 1, n_rows >= 1. `room`: scratch that another call can use again,
///           one for each worker
/// Accuracy  q.k in 16-bit fixed point where the CPU has it (kernel/fixed.h: off by about 1e-5 |q| |k| scale), else
/// f32;
///           weights with the 11 bits of f16, none below 2^-25 of the largest near it. NaN and inf stay in the rows
///           that look at them, and so in the sums of all keys those rows see
/// Cost      2 n_rows kv_len head_dim FLOP; scratch of 2 n_rows kv_len bytes
/// Source    MInference, arXiv:2407.02490, algorithm 2; FlexPrefill, arXiv:2502.20766, algorithm 3
LastRows look_at_last_rows(const SelectCall& call, int head, Pos n_rows, Buffer& room);
LastRows look_at_last_rows(const SelectCall& call, int head, Pos n_rows);

}  // namespace saccade
