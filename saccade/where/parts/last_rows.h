#pragma once

#include <vector>

#include "saccade/base/buffer.h"
#include "saccade/kernel/visit.h"
#include "saccade/where/parts/selection.h"

namespace saccade {

/// Keys laid out for look_at_last_rows, once for all query heads that share them.
class LastRowsKeys {
 public:
  /// The keys before call.q_end(), of the KV heads that call.heads read.
  ///
  /// Cost  reads the keys once; memory: as many numbers of 16 bits where the CPU multiplies those, else of 32
  explicit LastRowsKeys(const SelectCall& call);

  bool fixed() const { return fixed_; }
  /// The keys [48 i, 48 i + 48) of a KV head in the lanes of a tile: f32, or fixed, pairs of 16 bits with a scale for
  /// each key.
  const float* tile(int kv_head, Pos i) const { return of_tile(tiles_, tile_size_, kv_head, i); }
  const float* scales(int kv_head, Pos i) const { return of_tile(scales_, kernel::kTileRows, kv_head, i); }

 private:
  float* of_tile(const Buffer& buffer, Pos size, int kv_head, Pos i) const;
  void lay(const SelectCall& call, int kv_head, Pos i);

  bool fixed_;
  Pos n_tiles_, tile_size_;
  std::vector<int> kv_heads_;  ///< ascending
  Buffer tiles_, scales_;
};

/// Where the last queries of a call look: the weights of softmax attention of those rows, summed over the rows by key
/// and by distance (not divided by the number of rows).
struct LastRows {
  Pos n_rows = 0;               ///< how many there were
  std::vector<float> column;    ///< [kv_len]: of each key
  std::vector<float> diagonal;  ///< [kv_len]: of each distance q_pos - k_pos
};

/// Looks at the last `n_rows` queries of the call (all of them, if there are fewer) in one query head, causally.
///
/// Requires  call.q_end() <= call.k.len, call.q.len >= 1, n_rows >= 1; `keys` of this call. `room`: scratch that
///           another call can use again, one for each worker
/// Accuracy  q.k in 16-bit fixed point where the CPU has it (kernel/fixed.h: off by about 1e-5 |q| |k| scale), else
///           f32; weights with the 11 bits of f16, none below 2^-25 of the largest near it. NaN and inf stay in the
///           rows that look at them, and so in the sums of all keys those rows see
/// Cost      2 n_rows kv_len head_dim FLOP; scratch of 2 n_rows kv_len bytes
/// Source    MInference, arXiv:2407.02490, algorithm 2; FlexPrefill, arXiv:2502.20766, algorithm 3
LastRows look_at_last_rows(const SelectCall& call, const LastRowsKeys& keys, int head, Pos n_rows, Buffer& room);
LastRows look_at_last_rows(const SelectCall& call, int head, Pos n_rows);

}  // namespace saccade
