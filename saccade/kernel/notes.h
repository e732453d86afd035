#pragma once

#include <cstdint>

#include "saccade/kernel/ranked.h"

namespace saccade::kernel {

/// What a visit keeps of a tile's rows beside their softmax, for probes: numbers that need every weight, and what is
/// needed to read single scores afterwards. Scores, weights and sums of the softmax keep every bit.
///
/// Shapes    [kTileRows] where not told otherwise, 64-byte aligned
/// Cost      two multiply-adds a vector of scores where the sums are kept, else a few instructions a row and visit
struct Notes {
  const float* distance = nullptr;  ///< [n_keys] of the block: any number a key
  float* log_sum = nullptr;  ///< running, as row_sum: sum of weight log2(weight), weights relative to row_max; null:
                             ///< neither this nor the next
  float* distance_sum = nullptr;  ///< running: sum of weight distance
  float* factor = nullptr;        ///< written: a score times this is in units of log2
  float* shrink = nullptr;        ///< written: what sums over the keys before this block are to be multiplied by
  float* block_sum = nullptr;     ///< written: sum of the block's weights
  float* weights = nullptr;  ///< room as `scores` have: weights go there, and the scores stay; or `scores`, if they
                             ///< need not
};

/// A block's scores as a visit leaves them; -inf where a row does not see the key.
struct NotedScores {
  const float* scores = nullptr;   ///< [n_keys, kTileRows]
  const float* factor = nullptr;   ///< [kTileRows]
  const float* row_max = nullptr;  ///< [kTileRows], after the visit
  int n_keys = 0, n_rows = 0;
};

/// sums[row] += weights of the keys whose bit (key % 32 of word key / 32) is set.
/// Cost: an exponential a vector of such scores.
void add_some_weights(const NotedScores& block, const std::uint32_t* keys, float* sums) noexcept;

/// sums[row] += sum over the keys of weight min(distance[key] - back[row], clip).
/// Cost: an exponential a vector of scores.
void add_clipped(const NotedScores& block, const float* distance, const float* back, float clip, float* sums) noexcept;

/// A score of a block, in units of log2: of which key, and which row.
struct ListedScore {
  float score;
  std::uint8_t key, row;
};

/// Lists, in any order, the scores that may be among the `n_best` best of their rows; returns how many. Listed are
/// scores, in units of log2, of at least floor[row], the worst of the best so far; where that is -inf, since fewer were
/// seen, at least those that are not below `n_best` others of the block. Never what is hidden, nor a row beyond n_rows.
///
/// Shapes    listed: room for kBlockKeys x kTileRows, and one more
/// Cost      an instruction a vector of scores, and four more for each of eight keys that holds one to list
int list_best(const NotedScores& block, int n_best, const float* floor, ListedScore* listed) noexcept;

/// Lists of the best keys of rows, best first.
struct BestLists {
  RankedKey* best = nullptr;  ///< [kTileRows, stride], 64-byte aligned
  int n_best = 0;
  int stride = 0;          ///< a multiple of kRankedTogether
  float* floor = nullptr;  ///< [kTileRows]: the score of the last of n_best
};
/// Puts scores where they belong. `positions`: of the block's keys.
/// Cost: about 15 instructions a score and eight kept ones in AVX-512
void keep_best(const ListedScore* listed, int n_listed, const std::int32_t* positions, const BestLists& to) noexcept;

/// What a visit would have written and kept, from scores that it left; for a visit that keeps nothing but those.
/// `old_max`, `old_sum`: of the rows before the visit. Cost: an exponential a vector of scores.
void note_scores(const NotedScores& block, const float* old_max, const float* old_sum, const Notes& notes) noexcept;

}  // namespace saccade::kernel
