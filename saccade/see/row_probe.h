#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "saccade/see/probe.h"

namespace saccade {

/// A key and the weight that a query gives it; position -1: no key.
struct WeightedKey {
  std::int32_t position = -1;
  float weight = 0.0F;
  bool operator==(const WeightedKey&) const = default;
};

/// What attend() is to find out about each row (one query, one head) while it visits the row's keys, beyond what costs
/// nothing. Probes add what they need and remember where it will be.
struct RowWants {
  bool entropy = false, distance = false;  ///< the row's own, and its mean
  std::vector<Range> spans;                ///< of positions: the row's mass in each
  std::vector<Pos> clips;                  ///< >= 1: the mean distance with distances cut there
  std::vector<Pos> offsets;                ///< the weight at these distances
  Pos n_top = 0;                           ///< how many of the keys with the largest weights
};

/// What attend() found out about a row. weight = exp(score - lse), and sums are over the keys that the row sees.
/// Borrowed: it lives until `take` returns.
struct RowSeen {
  int head = 0;                      ///< query head of the call
  Pos q_position = 0;                ///< absolute
  float lse = 0.0F;                  ///< natural log, a sink score included
  float max_score = 0.0F;            ///< of the keys; -inf: sees none
  float entropy = 0.0F;              ///< - sum weight ln(weight), nats; 0 where no probe wants it
  float distance = 0.0F;             ///< sum weight (q_pos - k_pos), tokens; likewise
  std::span<const float> masses;     ///< one a span: sum of its weights
  std::span<const float> clipped;    ///< one a clip: sum weight min(q_pos - k_pos, clip)
  std::span<const float> diagonals;  ///< one an offset: the weight at q_pos - offset; 0: there is none
  std::span<const WeightedKey> top;  ///< [n_top] by weight, the earlier key first among equals; without weight: no key
  std::span<const float> o;          ///< [head_dim_v], before a gain that edits the head
};

/// A probe that needs no second look: attend() tells it about each row what the row's own softmax knows. It never
/// changes a bit of o and lse.
///
/// A prompt may come in several calls (its batches). A probe that is also a Probe is fed by one of the two passes.
///
/// Errors    std::bad_alloc from `begin` and `want`, and what they refuse, one line, Fault::kUser; `take` has none
class RowProbe {
 public:
  virtual ~RowProbe() = default;
  /// A call begins: makes room. Called by one thread.
  virtual void begin(const LookShape& shape) = 0;
  /// Adds what is needed beyond what costs nothing. Called by one thread after `begin`.
  virtual void want(RowWants& /*wants*/) {}
  /// Each row of the call once, in any order; in parallel for different rows.
  virtual void take(const RowSeen& row) = 0;
};

}  // namespace saccade
