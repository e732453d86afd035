#pragma once

#include <cstdint>

#include "saccade/attend/attend.h"
#include "saccade/attend/gathered.h"
#include "saccade/attend/workspace.h"
#include "saccade/kernel/visit.h"

namespace saccade::detail {

/// The element mask at the ragged edges of a pattern: which query of a block sees which of the keys at hand.
class Edge {
 public:
  static constexpr Pos kWords = kernel::kBlockKeys / 32;

  Edge(Layout& layout, const AttendCall& call, Pos most_queries)
      : words_(layout.take<std::uint32_t>(most_queries * kWords)),
        bias_(call.bias.data ? layout.take<float>(most_queries * kernel::kBlockKeys) : nullptr) {}

  /// Asks the pattern, query by query; keys that a bias of -inf hides are taken out again. Borrows the keys.
  /// Returns the pairs that the pattern shows.
  Pos ask(const AttendCall& call, const Where& where, Range q_rows, const Gathered& keys);

  const Gathered& keys() const { return *keys_; }
  /// Bit j % 32 of word j / 32: the query sees key j of keys(). Bits past the last key are clear.
  const std::uint32_t* words(Pos query) const { return words_ + (query - q_rows_.begin) * kWords; }
  /// The bias of the query for each of the keys, 0 where it hides the key. Requires a call with a bias.
  const float* bias(Pos query) const { return bias_ + (query - q_rows_.begin) * kernel::kBlockKeys; }

 private:
  void read_bias(const BiasView& bias, Pos query);

  Range q_rows_;
  const Gathered* keys_ = nullptr;
  std::uint32_t* words_;  // [queries, kWords]
  float* bias_;           // [queries, kBlockKeys]; null without a bias
};

/// Every visible key of this query head shall weigh the same. Its queries are then read as zeros, the bias and the sink
/// score as nothing.
inline bool is_uniform(const AttendCall& call, int head) {
  return !call.edits.empty() && call.edits[static_cast<std::size_t>(head)].uniform;
}

/// What multiplies the bias in this query head.
inline float slope_of(const AttendCall& call, int head) {
  if (is_uniform(call, head)) return 0.0F;
  return call.slopes.empty() ? 1.0F : call.slopes[static_cast<std::size_t>(head)];
}

}  // namespace saccade::detail
