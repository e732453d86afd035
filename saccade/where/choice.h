#pragma once

#include <concepts>
#include <memory>
#include <utility>
#include <vector>

#include "saccade/where/parts/selection.h"
#include "saccade/where/where.h"

namespace saccade {

/// What a spec stands for: a pattern of positions, or a selector, which has to look at the data before it becomes one.
class Choice {
 public:
  virtual ~Choice() = default;

  /// The pattern, where it is one already; null where `choose` has to be asked.
  virtual WherePtr pattern() const { return nullptr; }

  /// A pattern for each of call.heads. Replaces `out`. Errors: Fault::kMachine when memory runs out.
  virtual void choose(const SelectCall& call, Selection& out) const = 0;

  /// Looks at what the other parts of a union chose, and may widen it (`floor`). Most do not.
  virtual void review(const SelectCall& /*call*/, Selection& /*chosen*/) const {}
  virtual bool reviews() const { return false; }

  /// The same choice at several strengths, the weakest first, each showing what the one before shows and more; just
  /// the choice, where it has no strengths. What it cost stands in the first. Appends to `rungs`.
  virtual void climb(const SelectCall& call, std::vector<Selection>& rungs) const {
    choose(call, rungs.emplace_back());
  }

  /// Gives each head one of the strengths of what it is joined to (`within`). Most do not.
  virtual void deal(const SelectCall& /*call*/, const std::vector<Selection>& /*rungs*/, Selection& /*out*/) const {}
  virtual bool deals() const { return false; }

  /// Of the keys that it shows, those that weigh less than this share may go by runs (`skip_softmax`); 0: none.
  virtual double skips() const { return 0; }

  virtual SelectTraits traits() const { return {.prefill = true, .decode = true}; }
};

using ChoicePtr = std::shared_ptr<const Choice>;

/// What a file in where/ offers when it is a selector; `kTraits` says what it promises.
template <class M>
concept Selector = requires(const M m, const SelectCall& call, Selection& out) {
  { m.choose(call, out) } -> std::same_as<void>;
  { M::kTraits } -> std::convertible_to<SelectTraits>;
};

/// What it offers when it reviews the choice of others.
template <class M>
concept Reviewer = requires(const M m, const SelectCall& call, Selection& chosen) {
  { m.review(call, chosen) } -> std::same_as<void>;
  { M::kTraits } -> std::convertible_to<SelectTraits>;
};

/// What it offers when it says which of the keys that others show are too faint to be weighed one by one.
template <class M>
concept Skipper = requires(const M m) {
  { m.skips() } -> std::same_as<double>;
  { M::kTraits } -> std::convertible_to<SelectTraits>;
};

/// The pattern as a choice.
ChoicePtr make_choice(WherePtr pattern);

/// `none`, as a choice: the empty union.
const ChoicePtr& nothing();

/// What any of the parts shows (`+`), `nothing` without parts; one that deals says how strong the others are in each
/// head, those that review look at what came of it, what one that skips may leave out, all of it may. Errors:
/// Fault::kUser when two of them deal, or skip.
ChoicePtr unite(std::vector<ChoicePtr> parts);

/// What `choice` shows, of which keys that weigh below `share` may go by runs. Requires 0 < share <= 1.
ChoicePtr skipping(ChoicePtr choice, double share);

/// A selector that can be had at several strengths from one look at the data; whatever says how strong it is does not
/// count then.
template <class M>
concept Ladder = requires(const M m, const SelectCall& call, std::vector<Selection>& rungs) {
  { m.climb(call, rungs) } -> std::same_as<void>;
};

/// What it offers when it picks among strengths.
template <class M>
concept Dealer = requires(const M m, const SelectCall& call, const std::vector<Selection>& rungs, Selection& out) {
  { m.deal(call, rungs, out) } -> std::same_as<void>;
  { M::kTraits } -> std::convertible_to<SelectTraits>;
};

namespace detail {

template <class M>
class ChoiceOf final : public Choice {
 public:
  explicit ChoiceOf(M mechanism) : mechanism_(std::move(mechanism)) {}
  void choose(const SelectCall& call, Selection& out) const override {
    out = {};
    if constexpr (Selector<M>) mechanism_.choose(call, out);
  }
  void review(const SelectCall& call, Selection& chosen) const override {
    if constexpr (Reviewer<M>) mechanism_.review(call, chosen);
  }
  bool reviews() const override { return Reviewer<M>; }
  void climb(const SelectCall& call, std::vector<Selection>& rungs) const override {
    if constexpr (Ladder<M>) {
      mechanism_.climb(call, rungs);
    } else {
      Choice::climb(call, rungs);
    }
  }
  void deal(const SelectCall& call, const std::vector<Selection>& rungs, Selection& out) const override {
    if constexpr (Dealer<M>) mechanism_.deal(call, rungs, out);
  }
  bool deals() const override { return Dealer<M>; }
  SelectTraits traits() const override { return M::kTraits; }

 private:
  M mechanism_;
};

}  // namespace detail

/// Wraps one mechanism of any kind. Errors: whatever its own `check()` throws, if it has one.
template <class M>
ChoicePtr make_choice(M mechanism) {
  if constexpr (WhereMechanism<M>) {
    return make_choice(make_where(std::move(mechanism)));
  } else if constexpr (Skipper<M>) {
    mechanism.check();
    return skipping(nothing(), mechanism.skips());  // until it is joined to others
  } else {
    static_assert(Selector<M> || Reviewer<M> || Dealer<M>,
                  "a mechanism of where/ has visits and admits, or choose, or review, or deal, or skips");
    if constexpr (requires { mechanism.check(); }) mechanism.check();
    return std::make_shared<detail::ChoiceOf<M>>(std::move(mechanism));
  }
}

/// What all of the parts show (`&`). Requires at least one part. Errors: Fault::kUser when one of them reviews,
/// deals or skips.
ChoicePtr intersect(std::vector<ChoicePtr> parts);

/// Does choosing pay? What it cost the last time and what it saved, for one choice in one layer; prompts and single
/// queries want one each, for they cost differently. Counted in pairs of attention, never in time, so that the same
/// calls are always answered alike.
class Foresight {
 public:
  /// False: it did not pay the last time, and too little has changed for another try. It has when the text is an eighth
  /// longer, when another one began, and after kPatience calls in any case.
  bool worth_choosing(const SelectCall& call);
  /// What the choice for this call spent and saved, in pairs.
  void learn(const SelectCall& call, double spent, double saved);

  static constexpr Pos kPatience = 16;

 private:
  Pos lost_with_ = 0;  ///< keys of the call for which choosing did not pay; 0: it did
  Pos n_skipped_ = 0;
};

/// What the heads of a call run: the choice's answer, but dense for a head whose choice would save too little, and for
/// all of them where by foresight choosing costs more than it saves (both only with call.fallbacks);
/// Selection::n_dense_by_cost counts them. Null `foresight`: every call is chosen for.
///
/// Requires  choice.pattern() == nullptr
/// Errors    Fault::kMachine, one line, when memory runs out
/// Cost      the selectors' own, and one look at each list
Selection choose(const Choice& choice, const SelectCall& call, Foresight* foresight = nullptr);

/// Pairs of a query of the call and a key that a pattern visits, the ragged ends counted half: what attention will
/// cost, before it runs.
std::int64_t estimated_pairs(const Where& where, Range q_positions, Pos kv_len);

}  // namespace saccade
