#include "saccade/where/parts/top.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <numeric>

namespace saccade {
namespace {

/// Orders as floats do, NaN below all.
std::uint32_t order_of(float score) {
  if (std::isnan(score)) return 0;
  const auto bits = std::bit_cast<std::uint32_t>(score == 0.0F ? 0.0F : score);  // -0 is 0
  return (bits >> 31U) != 0 ? ~bits : bits | 0x80000000U;
}

/// The larger, the earlier: by score, then by the lower index.
std::uint64_t rank_of(float score, std::size_t index) {
  return (std::uint64_t{order_of(score)} << 32U) | (0xFFFFFFFFU - static_cast<std::uint32_t>(index));
}

std::int32_t index_of(std::uint64_t rank) {
  return static_cast<std::int32_t>(0xFFFFFFFFU - static_cast<std::uint32_t>(rank));
}

std::vector<char> marks(std::size_t size, std::span<const std::int32_t> forced) {
  std::vector<char> kept(size, 0);
  for (const std::int32_t index : forced) {
    if (index >= 0 && static_cast<std::size_t>(index) < size) kept[static_cast<std::size_t>(index)] = 1;
  }
  return kept;
}

std::vector<std::int32_t> indices_of(const std::vector<char>& kept) {
  std::vector<std::int32_t> out;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (kept[i] != 0) out.push_back(static_cast<std::int32_t>(i));
  }
  return out;
}

double weight_of(float weight) { return std::isnan(weight) ? 0.0 : static_cast<double>(weight); }

double sum_of(std::span<const float> weights) {
  double sum = 0.0;
  for (const float weight : weights) sum += weight_of(weight);
  return sum;
}

}  // namespace

std::vector<std::int32_t> top_k(std::span<const float> scores, Pos k, std::span<const std::int32_t> forced) {
  std::vector<char> kept = marks(scores.size(), forced);
  std::vector<std::uint64_t> others;
  others.reserve(scores.size());
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (kept[i] == 0) others.push_back(rank_of(scores[i], i));
  }
  const Pos n_forced = static_cast<Pos>(scores.size() - others.size());
  const auto n = static_cast<std::size_t>(std::clamp<Pos>(k - n_forced, 0, static_cast<Pos>(others.size())));
  if (n > 0 && n < others.size()) {
    std::nth_element(others.begin(), others.begin() + static_cast<std::ptrdiff_t>(n), others.end(), std::greater<>());
  }
  for (std::size_t i = 0; i < n; ++i) kept[static_cast<std::size_t>(index_of(others[i]))] = 1;
  return indices_of(kept);
}

std::vector<std::uint8_t> top_p_levels(std::span<const float> weights, std::span<const double> shares,
                                       Crossing crossing, std::span<const std::int32_t> forced) {
  const auto none = static_cast<std::uint8_t>(shares.size());
  std::vector<std::uint8_t> levels(weights.size(), none);
  for (const std::int32_t index : forced) {
    if (index >= 0 && static_cast<std::size_t>(index) < levels.size()) levels[static_cast<std::size_t>(index)] = 0;
  }
  double taken = 0.0;
  std::vector<std::uint64_t> others;  // a heap, so that only what is kept gets sorted
  others.reserve(weights.size());
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (levels[i] == 0) taken += weight_of(weights[i]);
    if (levels[i] != 0) others.push_back(rank_of(weights[i], i));
  }
  const double all = sum_of(weights);
  std::ranges::make_heap(others);
  for (std::uint8_t level = 0; level < none; ++level) {
    const double share = shares[level], enough = share * all;
    while (!others.empty()) {
      const auto next = static_cast<std::size_t>(index_of(others.front()));
      const double weight = weight_of(weights[next]);
      const bool wanted = crossing == Crossing::kInclude ? taken < enough : taken + weight <= enough;
      if (!wanted && share < 1.0) break;
      taken += weight;
      levels[next] = level;
      std::ranges::pop_heap(others);
      others.pop_back();
    }
  }
  return levels;
}

std::vector<std::int32_t> up_to(std::span<const std::uint8_t> levels, std::size_t level) {
  std::vector<std::int32_t> out;
  for (std::size_t i = 0; i < levels.size(); ++i) {
    if (levels[i] <= level) out.push_back(static_cast<std::int32_t>(i));
  }
  return out;
}

std::vector<std::int32_t> top_p(std::span<const float> weights, double p, Crossing crossing,
                                std::span<const std::int32_t> forced) {
  return up_to(top_p_levels(weights, {&p, 1}, crossing, forced), 0);
}

std::vector<std::int32_t> at_least(std::span<const float> scores, float threshold,
                                   std::span<const std::int32_t> forced) {
  std::vector<char> kept = marks(scores.size(), forced);
  for (std::size_t i = 0; i < scores.size(); ++i) kept[i] = static_cast<char>(kept[i] != 0 || scores[i] >= threshold);
  return indices_of(kept);
}

Pos count_to_cover(std::span<const float> weights, double p) {
  if (p >= 1.0) return static_cast<Pos>(weights.size());
  // First by exponent and four bits more, which takes one pass; then within the class in which p is crossed.
  struct Class {
    double sum = 0.0;
    Pos count = 0;
  };
  constexpr unsigned kShift = 19;
  std::vector<Class> classes(0x80000000U >> kShift);
  const auto bits_of = [](float weight) { return weight > 0 ? std::bit_cast<std::uint32_t>(weight) : 0U; };  // NaN: 0
  for (const float weight : weights) {
    Class& one = classes[bits_of(weight) >> kShift];
    one.sum += weight_of(weight);
    ++one.count;
  }
  double enough = 0.0;
  for (const Class& one : classes) enough += one.sum;
  enough *= p;

  double covered = 0.0;
  Pos below = 0;
  std::size_t at = classes.size();
  while (at > 0 && covered + classes[at - 1].sum <= enough) {
    --at;
    covered += classes[at].sum;
    below += classes[at].count;
  }
  if (at == 0) return std::min(below + 1, static_cast<Pos>(weights.size()));

  std::vector<float> left;
  left.reserve(static_cast<std::size_t>(classes[at - 1].count));
  for (const float weight : weights) {
    if (bits_of(weight) >> kShift == at - 1 && weight > 0) left.push_back(weight);
  }
  // Before `begin` lies what is covered; the larger half of the rest joins it as a whole, or is halved again.
  auto begin = left.begin(), end = left.end();
  while (begin != end) {
    const auto half = begin + (end - begin + 1) / 2;
    std::nth_element(begin, half - 1, end, std::greater<>());
    const double sum = std::accumulate(begin, half, 0.0);
    if (covered + sum <= enough) {
      covered += sum;
      begin = half;
    } else if (half - begin == 1) {
      break;
    } else {
      end = half;
    }
  }
  return std::min(below + (begin - left.begin()) + 1, static_cast<Pos>(weights.size()));
}

}  // namespace saccade
