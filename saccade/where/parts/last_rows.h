#pragma once

#include <vector>

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
/// Requires  call.q_end() <= call.k.len, call.q.len >= 1, n_rows >= 1
/// Accuracy  f32; column and diagonal each sum to the number of rows
/// Cost      2 n_rows kv_len head_dim FLOP; scratch of n_rows x kv_len floats
/// Source    MInference, arXiv:2407.02490, algorithm 2; FlexPrefill, arXiv:2502.20766, algorithm 3
LastRows look_at_last_rows(const SelectCall& call, int head, Pos n_rows);

}  // namespace saccade
