#include "saccade/judge/massive.h"

#include <algorithm>
#include <cmath>

namespace saccade::judge {

namespace {

double size_of(float value) { return std::fabs(static_cast<double>(value)); }

double median_size(std::span<const float> hidden, std::size_t n_tokens, std::size_t n_embd) {
  constexpr std::size_t kSampled = 64;
  const std::size_t step = (n_tokens + kSampled - 1) / kSampled;
  std::vector<double> sizes;
  for (std::size_t token = 0; token < n_tokens; token += step) {
    for (const float value : hidden.subspan(token * n_embd, n_embd))
      sizes.push_back(std::isnan(value) ? 0.0 : size_of(value));
  }
  const auto middle = sizes.begin() + static_cast<std::ptrdiff_t>(sizes.size() / 2);
  std::ranges::nth_element(sizes, middle);
  return *middle;
}

}  // namespace

std::vector<MassiveActivation> massive_activations(std::span<const float> hidden, Pos n_tokens, int layer, Pos first) {
  std::vector<MassiveActivation> found;
  if (hidden.empty()) return found;
  const auto n = static_cast<std::size_t>(n_tokens), n_embd = hidden.size() / n;
  for (std::size_t i = 0; i < hidden.size(); ++i) {
    if (std::isnan(hidden[i]) || size_of(hidden[i]) <= kMassive) continue;
    found.push_back({layer, first + static_cast<Pos>(i / n_embd), static_cast<Pos>(i % n_embd), hidden[i]});
  }
  if (found.empty()) return found;
  const double least = kMassiveOfMedian * median_size(hidden, n, n_embd);
  std::erase_if(found, [&](const MassiveActivation& one) { return size_of(one.value) <= least; });
  return found;
}

}  // namespace saccade::judge
