#include "saccade/judge/perplexity.h"

#include <algorithm>
#include <cmath>

#include "saccade/judge/fidelity.h"

namespace saccade::judge {

std::vector<Pos> second_half(Pos n_tokens, Pos most) {
  const Pos begin = n_tokens / 2, end = std::max(begin, n_tokens - 1), count = std::min(most, end - begin);
  std::vector<Pos> positions;
  positions.reserve(static_cast<std::size_t>(count));
  for (Pos i = 0; i < count; ++i) positions.push_back(begin + i * (end - begin) / count);
  return positions;
}

void PerplexityMeter::add(std::span<const float> logits, std::size_t next_token) {
  nll_ += negative_log_likelihood(logits, next_token);
  ++count_;
}

double PerplexityMeter::perplexity() const { return std::exp(loss()); }

}  // namespace saccade::judge
