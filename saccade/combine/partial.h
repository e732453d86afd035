#pragma once

#include <cmath>
#include <limits>
#include <span>

namespace saccade {

/// The result of softmax attention over some of the keys, one row (one query, one head): o is normalised within them,
/// lse is the natural log of the sum of exp(score) over them. lse == -inf means "saw nothing", and then o is zero.
struct Partial {
  std::span<float> o;  ///< [head_dim_v]
  float lse = -std::numeric_limits<float>::infinity();
};

/// Joins `other` into `into`: two results over disjoint keys become the result over all of them.
///   lse = log(exp(a.lse) + exp(b.lse));  o = exp(a.lse - lse) a.o + exp(b.lse - lse) b.o
///
/// Shapes    into.o and other.o: [head_dim_v], equal sizes
/// Units     lse in natural log; -inf means "saw no keys" and returns the other side bit for bit
/// Requires  disjoint keys (yours to keep): shared keys would count twice
/// Errors    none, noexcept. NaN in one row stays in that row.
/// Accuracy  at most 2x the error of the same formula in plain float32 loops
/// Cost      reads 2, writes 1 x head_dim_v floats; no allocation; safe from many threads
/// Source    Rabe & Staats 2021, arXiv:2112.05682; FlashInfer, arXiv:2501.01005, section 2.2
inline void merge(Partial& into, const Partial& other) noexcept {
  constexpr float kNothing = -std::numeric_limits<float>::infinity();
  if (other.lse == kNothing) return;
  if (into.lse == kNothing) {
    for (std::size_t i = 0; i < into.o.size(); ++i) into.o[i] = other.o[i];
    into.lse = other.lse;
    return;
  }
  const float high = into.lse > other.lse ? into.lse : other.lse;
  const float a = std::exp(into.lse - high);
  const float b = std::exp(other.lse - high);
  const float sum = a + b;
  for (std::size_t i = 0; i < into.o.size(); ++i) into.o[i] = (a * into.o[i] + b * other.o[i]) / sum;
  into.lse = high + std::log(sum);
}

/// Joins a score that takes weight but has no value (a learned attention sink): merge with {o = 0, lse = score}.
///   lse' = log(exp(lse) + exp(score));  o' = exp(lse - lse') o
///
/// Shapes    into.o: [head_dim_v]
/// Units     as merge; a score of -inf changes no bit; a row that saw no keys gets o = 0, lse = score
/// Errors    none, noexcept. A NaN score makes the row NaN.
/// Accuracy  at most 2x the error of the same formula in plain float32 loops
/// Cost      reads and writes head_dim_v floats
/// Source    Xiao et al. 2023, arXiv:2309.17453 (softmax-off-by-one: score 0); learned scores as in gpt-oss
inline void merge_score(Partial& into, float score) noexcept {
  constexpr float kNothing = -std::numeric_limits<float>::infinity();
  if (score == kNothing) return;
  if (into.lse == kNothing) {
    into.lse = score;
    return;
  }
  const float high = into.lse > score ? into.lse : score;
  const float a = std::exp(into.lse - high);
  const float sum = a + std::exp(score - high);
  for (float& o : into.o) o = a * o / sum;
  into.lse = high + std::log(sum);
}

}  // namespace saccade
