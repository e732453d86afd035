#include "saccade/where/parts/top.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <numeric>
#include <utility>

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

/// Sorts ranks of ascending indices, digit by digit of their scores. A row has some hundred entries: a heap of them, of
/// which only what is kept comes out, takes more than twice as long, for branches that nobody can foresee.
void sort_descending(std::vector<std::uint64_t>& ranks) {
  constexpr unsigned kDigits = 4, kBits = 8;
  const auto digit_of = [](std::uint64_t rank, unsigned digit) {
    return 255U - ((rank >> (32U + kBits * digit)) & 255U);
  };
  std::array<std::array<std::uint32_t, 256>, kDigits> ends{};
  for (const std::uint64_t rank : ranks) {
    for (unsigned digit = 0; digit < kDigits; ++digit) ++ends[digit][digit_of(rank, digit)];
  }
  std::vector<std::uint64_t> other(ranks.size());
  for (unsigned digit = 0; digit < kDigits; ++digit) {
    std::uint32_t begin = 0;
    for (std::uint32_t& end : ends[digit]) begin += std::exchange(end, begin);
    for (const std::uint64_t rank : ranks) other[ends[digit][digit_of(rank, digit)]++] = rank;
    ranks.swap(other);
  }
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
  std::vector<std::uint64_t> others;
  others.reserve(weights.size());
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (levels[i] == 0) taken += weight_of(weights[i]);
    if (levels[i] != 0) others.push_back(rank_of(weights[i], i));
  }
  const double all = sum_of(weights);
  sort_descending(others);
  auto next = others.begin();
  for (std::uint8_t level = 0; level < none; ++level) {
    const double share = shares[level], enough = share * all;
    for (; next != others.end(); ++next) {
      const auto index = static_cast<std::size_t>(index_of(*next));
      const double weight = weight_of(weights[index]);
      const bool wanted = crossing == Crossing::kInclude ? taken < enough : taken + weight <= enough;
      if (!wanted && share < 1.0) break;
      taken += weight;
      levels[index] = level;
    }
  }
  return levels;
}

std::vector<std::int32_t> up_to(std::span<const std::uint8_t> levels, std::size_t level) {
  std::vector<std::int32_t> out(levels.size());
  std::size_t n = 0;
  for (std::size_t i = 0; i < levels.size(); ++i) {  // without a branch: nobody can foresee it
    out[n] = static_cast<std::int32_t>(i);
    n += levels[i] <= level ? 1 : 0;
  }
  out.resize(n);
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

namespace {

/// How many of the largest of these it takes to go from `covered` to `enough`, the one with which it is passed left
/// out. Puts them in another order.
Pos count_within(std::span<float> weights, double covered, double enough) {
  // Before `begin` lies what is covered; the larger half of the rest joins it as a whole, or is halved again.
  auto begin = weights.begin(), end = weights.end();
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
  return begin - weights.begin();
}

}  // namespace

std::vector<Pos> counts_to_cover(std::span<const float> weights, std::span<const double> shares) {
  // First by exponent and four bits more, which takes one pass; then, in another, within the classes in which shares
  // are crossed. Weights of one class add up without rounding: their order does not matter.
  struct Class {
    double sum = 0.0;
    Pos count = 0;
    std::size_t crossed = 0;  // one more than its place in `members`; 0: no share is crossed here
  };
  constexpr unsigned kShift = 19;
  std::vector<Class> classes(0x80000000U >> kShift);
  const auto class_of = [&](float weight) -> Class& {
    return classes[(weight > 0 ? std::bit_cast<std::uint32_t>(weight) : 0U) >> kShift];  // NaN: 0
  };
  for (const float weight : weights) {
    Class& one = class_of(weight);
    one.sum += weight_of(weight);
    ++one.count;
  }
  double all = 0.0;
  for (const Class& one : classes) all += one.sum;

  struct Crossing {
    double covered = 0.0, enough = 0.0;  // by the classes above
    Pos count = 0;                       // of those
    std::size_t crossed = 0;             // as in the class in which it lies
  };
  std::vector<Crossing> crossings;
  std::vector<std::vector<float>> members;
  Crossing at;
  auto left = classes.rbegin();
  for (const double share : shares) {
    at.enough = share * all;
    for (; left != classes.rend() && at.covered + left->sum <= at.enough; ++left) {
      at.covered += left->sum;
      at.count += left->count;
    }
    at.crossed = 0;
    if (left != classes.rend()) {
      if (left->crossed == 0) left->crossed = members.size() + 1, members.emplace_back();
      at.crossed = left->crossed;
    }
    crossings.push_back(at);
  }
  for (const float weight : weights) {
    const std::size_t crossed = class_of(weight).crossed;
    if (crossed != 0 && weight > 0) members[crossed - 1].push_back(weight);
  }
  std::vector<Pos> counts;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    const Crossing& one = crossings[i];
    Pos count = one.count + 1;
    if (one.crossed != 0) count += count_within(members[one.crossed - 1], one.covered, one.enough);
    counts.push_back(shares[i] >= 1.0 ? std::ssize(weights) : std::min<Pos>(count, std::ssize(weights)));
  }
  return counts;
}

}  // namespace saccade
