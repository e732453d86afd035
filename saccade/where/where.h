#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "saccade/where/visit.h"

namespace saccade {

/// Which keys does a query see? The one question of the Where word, asked in two ways that must agree:
/// `admits` is the definition, `visits` the fast answer for a block of queries.
///
/// Units     absolute token positions; q_block and keys are half-open
/// Requires  0 <= q_block.begin <= q_block.end
/// Errors    none once built; parameters are checked when the mechanism is built
/// Cost      visits: O(number of visits); mask: one bit per pair
/// Source    the split into listed blocks and an element predicate: FlexAttention, arXiv:2412.05496
class Where {
 public:
  virtual ~Where() = default;

  /// Does the query at q_pos see the key at k_pos?
  virtual bool admits(Pos q_pos, Pos k_pos) const = 0;

  /// Every key that at least one query of the block sees, and maybe more, each exactly once. Replaces `out`.
  virtual void visits(Range q_block, VisitList& out) const = 0;

  /// Sets bit j of words[j / 32] for each key keys.begin + j that the query sees, and clears the others up to a whole
  /// word: (keys.size() + 31) / 32 words are written.
  virtual void mask(Pos q_pos, Range keys, std::uint32_t* words) const = 0;

  /// visits() is sharp for blocks of queries that begin and end at multiples of this position: one step sees few keys
  /// that not all of it sees. A larger or unaligned block gets the union, with masks. 1: sharp for any block.
  virtual Pos q_step() const { return 1; }

  /// Keys that weigh less than this share of what their row has summed so far may go by runs (where/skip_softmax.h);
  /// 0: none.
  virtual double skips() const { return 0; }
};

using WherePtr = std::shared_ptr<const Where>;

/// What a file in where/ has to offer; `fields` (see plan/fields.h) names its parameters for every door. `q_step`, if
/// it has one, as in Where; `Range sees(Pos q_pos)`, where what a query sees is one range, makes its mask quick.
template <class M>
concept WhereMechanism = requires(const M m, Pos pos, Range block, VisitList& out) {
  { m.admits(pos, pos) } -> std::same_as<bool>;
  { m.visits(block, out) } -> std::same_as<void>;
};

namespace detail {

template <WhereMechanism M>
class WhereOf final : public Where {
 public:
  explicit WhereOf(M mechanism) : mechanism_(std::move(mechanism)) {}
  bool admits(Pos q_pos, Pos k_pos) const override { return mechanism_.admits(q_pos, k_pos); }
  void visits(Range q_block, VisitList& out) const override { mechanism_.visits(q_block, out); }
  void mask(Pos q_pos, Range keys, std::uint32_t* words) const override {
    if constexpr (requires { mechanism_.sees(q_pos); }) return mask_of_interval(mechanism_.sees(q_pos), keys, words);
    for (Pos base = keys.begin; base < keys.end; base += 32) {
      std::uint32_t word = 0;
      const Pos n = keys.end - base < 32 ? keys.end - base : 32;
      for (Pos j = 0; j < n; ++j) word |= static_cast<std::uint32_t>(mechanism_.admits(q_pos, base + j)) << j;
      *words++ = word;
    }
  }
  Pos q_step() const override {
    if constexpr (requires { mechanism_.q_step(); }) return mechanism_.q_step();
    return 1;
  }

 private:
  M mechanism_;
};

}  // namespace detail

/// Wraps one mechanism. Errors: whatever its own `check()` throws, if it has one.
template <WhereMechanism M>
WherePtr make_where(M mechanism) {
  if constexpr (requires { mechanism.check(); }) mechanism.check();
  return std::make_shared<detail::WhereOf<M>>(std::move(mechanism));
}

/// Keys that any of the parts admits (`+` in a spec). Requires at least one part. Its q_step, and that of an
/// intersection, is the smallest of its parts' that is more than 1.
WherePtr unite(std::vector<WherePtr> parts);

/// Keys that all of the parts admit (`&` in a spec). Requires at least one part.
WherePtr intersect(std::vector<WherePtr> parts);

/// The same keys, of which those below `share` may go by runs (Where::skips). Requires 0 < share <= 1.
WherePtr skipping(WherePtr where, double share);

}  // namespace saccade
