#pragma once

#include <span>
#include <vector>

#include "saccade/base/view.h"

namespace saccade::judge {

/// How close a row of compared answers is to the reference: the last four numbers of `saccade compare`.
struct Fidelity {
  double ppl = 0;             ///< exp(mean negative log-likelihood of the token that really came next)
  double kl_mean = 0;         ///< KL(reference || this), natural log, mean over positions
  double kl_p99 = 0;          ///< its 99th percentile, nearest rank
  double top1_agreement = 0;  ///< share of positions where both prefer the same next token
};

/// The most likely token; the lowest number on a tie, and 0 when all are NaN. Requires a non-empty row.
std::size_t top1(std::span<const float> logits);

/// -log softmax(logits)[token]. Requires token < logits.size().
double negative_log_likelihood(std::span<const float> logits, std::size_t token);

/// sum_i p_i log(p_i / q_i) with p, q the softmax of the two rows; never below 0. NaN in a row gives NaN.
///
/// Requires  rows of equal length
/// Accuracy  exp in f32, sums in f64: about 1e-6
/// Cost      two exp a token
/// Source    Kullback & Leibler 1951
double kl_divergence(std::span<const float> reference, std::span<const float> logits);

/// The smallest value that at least `share` of the values do not exceed (nearest rank); NaN counts as largest.
/// Requires 0 <= share <= 1; 0 for no values.
double percentile(std::vector<double> values, double share);

/// Collects positions one by one.
class FidelityMeter {
 public:
  void add(std::span<const float> reference, std::span<const float> logits, std::size_t next_token);
  /// All zero (ppl 1) when nothing was added.
  Fidelity result() const;

 private:
  std::vector<double> kl_;
  double nll_ = 0;
  Pos agreed_ = 0;
};

}  // namespace saccade::judge
