#pragma once

#include <span>
#include <vector>

#include "saccade/base/view.h"

namespace saccade::judge {

/// The positions whose next token is predicted when the perplexity of a text's second half is taken: all of them, or
/// `most` evenly spread ones, ascending; each has at least half of the text before it. The same for every call.
///
/// Requires  n_tokens >= 0, most >= 0. None when n_tokens < 3.
std::vector<Pos> second_half(Pos n_tokens, Pos most = 2048);

/// Collects positions one by one: exp of the mean negative log-likelihood of the tokens that really came next.
class PerplexityMeter {
 public:
  /// Requires next_token < logits.size().
  void add(std::span<const float> logits, std::size_t next_token);
  Pos count() const { return count_; }
  /// The mean negative log-likelihood, in nats a token; 0 when nothing was added.
  double loss() const { return count_ == 0 ? 0 : nll_ / static_cast<double>(count_); }
  /// 1 when nothing was added; NaN logits make it NaN.
  double perplexity() const;

 private:
  double nll_ = 0;
  Pos count_ = 0;
};

}  // namespace saccade::judge
