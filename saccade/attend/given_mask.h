#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "saccade/base/team.h"
#include "saccade/base/view.h"
#include "saccade/where/where.h"

namespace saccade {

/// The keys that somebody else's additive mask leaves visible: all but those it sets to -inf. Query i of the call has
/// position i, the key in slot j position j. Reads the mask once, in blocks of 32 queries by 128 keys, and borrows it.
///
/// Requires  mask f16 or f32 with at least q_len rows of kv_len values; `data == nullptr` hides nothing.
///           No row shows more than `most_visible` keys, if that is given: what lies behind them is hidden, unread
/// Errors    none. NaN and +inf count as visible, so that they reach the rows they belong to.
/// Cost      building: reads q_len x kv_len values, stores one byte a block; visits: O(blocks of the row)
/// Source    FlexAttention's block mask, arXiv:2412.05496
class GivenMask final : public Where {
 public:
  static constexpr Pos kBlockQ = 32, kBlockK = 128;
  static constexpr Pos kNoBound = std::numeric_limits<Pos>::max();

  GivenMask(const BiasView& mask, Pos q_len, Pos kv_len, Team& team, Pos most_visible = kNoBound);

  bool admits(Pos q_pos, Pos k_pos) const override;
  void visits(Range q_block, VisitList& out) const override;
  void mask(Pos q_pos, Range keys, std::uint32_t* words) const override;

  /// Some visible key has a value other than zero, so that the mask must be added too (AttendCall::bias).
  bool has_bias() const { return has_bias_; }
  /// Pairs of a query and a key that it leaves visible.
  std::int64_t pairs() const { return pairs_; }

 private:
  enum class Kind : std::uint8_t { kSkip, kFull, kMixed };
  struct RowBlock;
  template <class Bits>
  RowBlock scan(Pos row_block, Pos most_visible);

  BiasView mask_;
  Pos q_len_, kv_len_, n_k_blocks_;
  std::vector<Kind> kinds_;  // [q blocks, k blocks]
  bool has_bias_ = false;
  std::int64_t pairs_ = 0;
};

/// The p0 for which query i sees exactly the keys [0, p0 + i], each with the value zero; nothing when there is none.
/// That is what a mask looks like when one sequence lies in its slots in order.
///
/// Requires  as GivenMask; a mask without data, or no query, is no causal run
/// Cost      reads up to q_len x kv_len values, shared over the team; stops early at the first row that differs, and
///           where the last row would show more than `most_visible` keys
std::optional<Pos> causal_run(const BiasView& mask, Pos q_len, Pos kv_len, Team& team,
                              Pos most_visible = GivenMask::kNoBound);

/// Could this mask be the causal run at p0? Looks at the first key of each row, the last one that it would show, the
/// one behind it and one in between: what a mask that has not been written since would pass, and one that was written
/// for other queries would not.
///
/// Requires  as causal_run; kv_len > 0
/// Cost      reads 4 q_len values
bool ends_as_causal_run(const BiasView& mask, Pos q_len, Pos kv_len, Pos p0);

}  // namespace saccade
