#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "saccade/see/band_sums.h"
#include "saccade/see/column_sums.h"
#include "saccade/see/diagonals.h"
#include "saccade/see/distance.h"
#include "saccade/see/entropy.h"

// What a head does, in one number, from what the probes kept. None of these reads a map; each costs a walk over a
// probe's numbers.
namespace saccade::see {

/// How much the queries that can see a key look at it on average: alpha_key = sums[key] / (queries seen at or behind
/// it). 0 where no query was seen there. Source: Gu et al. 2025, arXiv:2410.10781, section 3.1
double column_mean(const ColumnSums& columns, int head, Pos key);

/// The threshold above which Gu et al. call a key a sink of a head.
inline constexpr double kSinkThreshold = 0.3;
/// The share of heads whose mean weight on one key (column_mean, of every head of every layer) is above the threshold;
/// 0 of no heads. Source: Gu et al. 2025, arXiv:2410.10781, section 3.1
double sink_rate(std::span<const double> column_means, double threshold = kSinkThreshold);

/// One step of greedy decoding: where a head looked most, and the token that was then emitted.
struct CopyStep {
  Pos top_key = -1;  ///< position; negative: none
  std::int32_t emitted = 0;
};
/// How much of a needle a head copied: steps at which its top key lies in the needle and holds the emitted token, over
/// the needle's length. Repeats count, as in the authors' code. `tokens`: those of the prompt, by position.
/// Requires a needle inside the prompt, not empty. Source: Wu et al. 2024, arXiv:2404.15574, section 2
double retrieval_score(std::span<const CopyStep> steps, Range needle, std::span<const std::int32_t> tokens);

/// Random tokens, `period` of them, repeated `n_repeats` times from position `begin` on: what the next scores are
/// measured on.
struct RepeatedText {
  Pos begin = 0, period = 0, n_repeats = 2;
  Range repeated() const { return {begin + period, begin + period * n_repeats}; }
  /// For Diagonals: 1; then, for each earlier copy, the distance to the same token and to the one behind it.
  std::vector<Pos> offsets() const;
};
struct RepeatScores {
  double previous_token = 0;   ///< weight on the token before
  double duplicate_token = 0;  ///< on earlier copies of the token itself
  double induction = 0;        ///< on the tokens behind earlier copies: prefix matching
};
/// Mean weights over the queries of all copies but the first. Requires diagonals.offsets == text.offsets().
/// Source: Olsson et al. 2022, arXiv:2209.11895
RepeatScores repeat_scores(const Diagonals& diagonals, int head, const RepeatedText& text);

/// The mean of a number a query over some queries; 0 over none. Requires queries that were seen.
double mean_over(const PerRow& values, int head, Range q_positions);

/// Mean entropy as a share of the most there can be, ln(q_pos + 1) under causal attention; queries that see one key
/// have none and do not count. In [0, 1].
double relative_entropy(const Entropy& entropy, int head, Range q_positions);

enum class Reach : std::uint8_t { kLocal, kMiddle, kGlobal };
/// The `share` of heads with the shortest mean distances are local, as many with the longest global (each rounded
/// down); the earlier head first among equals. Source: Li et al. 2025, arXiv:2510.13554, section 3
std::vector<Reach> reach_of_heads(std::span<const double> mean_distances, double share = 0.3);

/// Windowed average attention distance of each query that was seen: clipped distances, averaged over the local heads.
/// Source: Li et al. 2025, arXiv:2510.13554
std::vector<double> waad(const Distance& distance, std::span<const int> local_heads);

/// Future attention influence of each key: the mean weight from the queries of the band behind it, inside the text,
/// averaged over the global heads; 0 where the text ends before the band begins.
/// Source: Li et al. 2025, arXiv:2510.13554
std::vector<double> fai(const BandSums& band, std::span<const int> global_heads, Pos text_len);

}  // namespace saccade::see
