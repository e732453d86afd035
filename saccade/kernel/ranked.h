#pragma once

#include <bit>
#include <compare>
#include <cstdint>

namespace saccade::kernel {

/// A key of a row's list of the best.
struct ScoredKey {
  float score;  ///< in units of log2; -inf: no key
  std::int32_t position;

  /// Comes before the other: a larger score, or the same and an earlier key.
  bool beats(const ScoredKey& other) const {
    return score > other.score || (score == other.score && position < other.position);
  }
};

/// The same as one number, which is the larger the better: no branch to keep it sorted. -0 counts as 0.
class RankedKey {
 public:
  explicit RankedKey(ScoredKey key)
      : rank_(std::uint64_t{ordered(key.score)} << 32U | ~static_cast<std::uint32_t>(key.position)) {}
  explicit RankedKey(std::uint64_t rank) : rank_(rank) {}
  ScoredKey key() const {
    const auto high = static_cast<std::uint32_t>(rank_ >> 32U);
    const std::uint32_t bits = high >> 31U ? high ^ kSign : ~high;
    return {std::bit_cast<float>(bits), static_cast<std::int32_t>(~static_cast<std::uint32_t>(rank_))};
  }
  std::uint64_t rank() const { return rank_; }
  auto operator<=>(const RankedKey&) const = default;

 private:
  static constexpr std::uint32_t kSign = 0x80000000U;
  /// The bits of a float as a whole number that rises with it.
  static std::uint32_t ordered(float score) {
    const auto bits = std::bit_cast<std::uint32_t>(score + 0.0F);
    return bits >> 31U ? ~bits : bits | kSign;
  }
  std::uint64_t rank_;
};
static_assert(sizeof(RankedKey) == sizeof(std::uint64_t));

/// A list of the best is as many of them, or more: whole vectors.
constexpr int kRankedTogether = 8;

}  // namespace saccade::kernel
