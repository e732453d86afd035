#include "saccade/where/choice.h"

#include <algorithm>
#include <map>
#include <new>

#include "saccade/base/error.h"
#include "saccade/where/dense.h"
#include "saccade/where/none.h"
#include "saccade/where/parts/memory.h"
#include "saccade/where/parts/tax.h"

namespace saccade {
namespace {

/// A pattern of positions.
class Pattern final : public Choice {
 public:
  explicit Pattern(WherePtr where) : where_(std::move(where)) {}
  WherePtr pattern() const override { return where_; }
  void choose(const SelectCall& call, Selection& out) const override {
    out = {};
    out.of_head.assign(call.heads.size(), where_);
    out.scope = Scope::kLayer;
  }

 private:
  WherePtr where_;
};

enum class Join { kUnite, kIntersect };

WherePtr join(Join how, std::vector<WherePtr> parts) {
  return how == Join::kUnite ? unite(std::move(parts)) : intersect(std::move(parts));
}

class Joined final : public Choice {
 public:
  Joined(Join how, std::vector<ChoicePtr> parts) : how_(how), parts_(std::move(parts)) {}

  void choose(const SelectCall& call, Selection& out) const override {
    const auto dealer = std::ranges::find_if(parts_, &Choice::deals);
    if (dealer != parts_.end()) {
      std::vector<Selection> rungs;
      climb(call, rungs);
      (*dealer)->deal(call, rungs, out);
    } else {
      std::vector<Selection> chosen;
      for (const ChoicePtr& part : parts_) {
        if (selects(*part)) part->choose(call, chosen.emplace_back());
      }
      out = join_all(std::move(chosen), call);
    }
    for (const ChoicePtr& part : parts_) part->review(call, out);
  }

  void climb(const SelectCall& call, std::vector<Selection>& rungs) const override {
    std::vector<std::vector<Selection>> of_part;
    std::size_t n = 1;
    for (const ChoicePtr& part : parts_) {
      if (selects(*part)) part->climb(call, of_part.emplace_back());
      if (!of_part.empty()) n = std::max(n, of_part.back().size());
    }
    for (std::size_t rung = 0; rung < n; ++rung) {  // a part without that many stays at its strongest
      std::vector<Selection> chosen;
      for (const auto& some : of_part) chosen.push_back(some[std::min(rung, some.size() - 1)]);
      rungs.push_back(join_all(std::move(chosen), call));
      if (rung > 0) rungs.back().cost = {}, rungs.back().n_dense_by_rule = 0;
    }
  }

  SelectTraits traits() const override {
    SelectTraits all = parts_.front()->traits();
    for (const ChoicePtr& part : parts_) {
      const SelectTraits some = part->traits();
      all.prefill = all.prefill || some.prefill;
      all.decode = all.decode || some.decode;
      all.exact_on_selection = all.exact_on_selection && some.exact_on_selection;
      all.causal = how_ == Join::kUnite ? all.causal && some.causal : all.causal || some.causal;
      all.needle = how_ == Join::kUnite ? all.needle || some.needle : all.needle && some.needle;
      all.depends_on_batch = all.depends_on_batch || some.depends_on_batch;
    }
    return all;
  }

 private:
  /// The others look at what these chose.
  static bool selects(const Choice& part) { return !part.reviews() && !part.deals(); }

  Selection join_all(std::vector<Selection> chosen, const SelectCall& call) const {
    if (chosen.empty()) make_choice(where::None{})->choose(call, chosen.emplace_back());
    Selection out = chosen.front();
    for (std::size_t i = 1; i < chosen.size(); ++i) {
      const Selection& more = chosen[i];
      out.scope = std::min(out.scope, more.scope);
      out.lifetime = std::min(out.lifetime, more.lifetime);
      out.cost += more.cost;
      out.n_dense_by_rule += more.n_dense_by_rule;
    }
    std::map<std::vector<WherePtr>, WherePtr> made;  // heads whose parts are the same share the whole
    for (std::size_t head = 0; head < call.heads.size(); ++head) {
      std::vector<WherePtr> parts;
      for (const Selection& some : chosen) parts.push_back(some.of_head[head]);
      WherePtr& where = made[parts];
      if (where == nullptr) where = join(how_, parts);
      out.of_head[head] = where;
    }
    return out;
  }

  Join how_;
  std::vector<ChoicePtr> parts_;
};

/// A choice whose faint keys may go by runs: its patterns say so once all is chosen (`choose`), since heads may
/// turn dense until then.
class Skipping final : public Choice {
 public:
  Skipping(ChoicePtr inner, double share)
      : inner_(std::move(inner)),
        share_(share),
        pattern_(inner_->pattern() ? saccade::skipping(inner_->pattern(), share) : nullptr) {}

  WherePtr pattern() const override { return pattern_; }
  void choose(const SelectCall& call, Selection& out) const override { inner_->choose(call, out); }
  void review(const SelectCall& call, Selection& chosen) const override { inner_->review(call, chosen); }
  bool reviews() const override { return inner_->reviews(); }
  void climb(const SelectCall& call, std::vector<Selection>& rungs) const override { inner_->climb(call, rungs); }
  void deal(const SelectCall& call, const std::vector<Selection>& rungs, Selection& out) const override {
    inner_->deal(call, rungs, out);
  }
  bool deals() const override { return inner_->deals(); }
  double skips() const override { return share_; }
  SelectTraits traits() const override {
    SelectTraits traits = inner_->traits();
    traits.exact_on_selection = false;
    return traits;
  }
  const ChoicePtr& inner() const { return inner_; }

 private:
  ChoicePtr inner_;
  double share_;
  WherePtr pattern_;
};

/// Says so in every pattern; heads that share one go on sharing.
void let_skip(double share, Selection& chosen) {
  std::map<WherePtr, WherePtr> made;
  for (WherePtr& where : chosen.of_head) {
    WherePtr& skipped = made[where];
    if (skipped == nullptr) skipped = skipping(where, share);
    where = skipped;
  }
}

ChoicePtr join(Join how, std::vector<ChoicePtr> parts) {
  if (parts.size() == 1) return std::move(parts.front());
  std::vector<WherePtr> patterns;
  for (const ChoicePtr& part : parts) {
    if (WherePtr pattern = part->pattern()) patterns.push_back(std::move(pattern));
  }
  if (patterns.size() == parts.size()) return make_choice(join(how, std::move(patterns)));
  return std::make_shared<Joined>(how, std::move(parts));
}

const WherePtr& dense() {
  static const WherePtr pattern = make_where(where::Dense{});
  return pattern;
}

/// Pairs that dense attention visits in one head.
double dense_pairs_of_head(const SelectCall& call) {
  return static_cast<double>(estimated_pairs(*dense(), {call.q_begin, call.q_end()}, call.k.len));
}

/// Replaces patterns that save too little. Returns the pairs that the others save.
double run_dense_where_nothing_is_saved(const SelectCall& call, Selection& chosen) {
  const double all = dense_pairs_of_head(call);
  std::map<const Where*, double> saved_by;
  double saved = 0;
  for (WherePtr& where : chosen.of_head) {
    if (where == nullptr) continue;
    const auto [known, is_new] = saved_by.try_emplace(where.get(), 0.0);
    if (is_new) {
      const auto some = static_cast<double>(estimated_pairs(*where, {call.q_begin, call.q_end()}, call.k.len));
      const bool is_dense = some >= all;  // already, and so none of ours
      known->second = is_dense ? 0.0 : all - some * kTaxOfLists;
    }
    saved += std::max(known->second, 0.0);
    if (known->second >= 0) continue;
    where = dense();
    ++chosen.n_dense_by_cost;
  }
  return saved;
}

/// What choosing cost for each call that it serves.
double pairs_spent(const SelectCall& call, const Selection& chosen) {
  const auto flop_of_pair = static_cast<double>(4 * call.q.dim);
  return static_cast<double>(chosen.cost.flop) / flop_of_pair / static_cast<double>(1 + chosen.lifetime);
}

Selection all_dense(const SelectCall& call) {
  Selection chosen;
  chosen.of_head.assign(call.heads.size(), dense());
  chosen.scope = Scope::kLayer;
  chosen.n_dense_by_cost = static_cast<std::int64_t>(call.heads.size());
  return chosen;
}

/// Without saying what is too faint.
Selection choose_keys(const Choice& choice, const SelectCall& call, Foresight* foresight) {
  if (call.fallbacks && foresight != nullptr && !foresight->worth_choosing(call)) return all_dense(call);
  Selection chosen;
  try {
    choice.choose(call, chosen);
    if (choice.reviews() || choice.deals()) {  // alone: it looks at nothing
      make_choice(where::None{})->choose(call, chosen);
      if (choice.deals()) choice.deal(call, {chosen}, chosen);
      choice.review(call, chosen);
    }
  } catch (const std::bad_alloc&) {
    fail_machine("where: not enough memory to select keys");
  }
  SACCADE_ASSERT(chosen.of_head.size() == call.heads.size(), "a pattern for each head");
  if (call.fallbacks) {
    const double saved = run_dense_where_nothing_is_saved(call, chosen);
    if (foresight != nullptr) foresight->learn(call, pairs_spent(call, chosen), saved);
  }
  return chosen;
}

}  // namespace

ChoicePtr make_choice(WherePtr pattern) { return std::make_shared<Pattern>(std::move(pattern)); }

const ChoicePtr& nothing() {
  static const ChoicePtr none = make_choice(where::None{});
  return none;
}

ChoicePtr skipping(ChoicePtr choice, double share) { return std::make_shared<Skipping>(std::move(choice), share); }

ChoicePtr unite(std::vector<ChoicePtr> parts) {
  const auto skips = [](const ChoicePtr& part) { return part->skips() > 0; };
  if (std::ranges::count_if(parts, skips) > 1) fail_user("where: one skip_softmax in a spec is enough");
  if (const auto skipper = std::ranges::find_if(parts, skips); skipper != parts.end()) {
    const double share = (*skipper)->skips();
    *skipper = dynamic_cast<const Skipping&>(**skipper).inner();
    return skipping(unite(std::move(parts)), share);
  }
  std::erase(parts, nothing());
  if (parts.empty()) return nothing();
  if (std::ranges::count_if(parts, &Choice::deals) > 1)
    fail_user("where: one within in a spec says how strong the rest is");
  return join(Join::kUnite, std::move(parts));
}

ChoicePtr intersect(std::vector<ChoicePtr> parts) {
  for (const ChoicePtr& part : parts) {
    if (part->reviews() || part->deals() || part->skips() > 0) {
      fail_user("where: floor, within and skip_softmax go by what stands beside them, joined by +, not by &");
    }
  }
  return join(Join::kIntersect, std::move(parts));
}

std::int64_t estimated_pairs(const Where& where, Range q_positions, Pos kv_len) {
  constexpr Pos kQueries = 128;
  std::int64_t pairs = 0;
  VisitList list;
  for (Pos begin = q_positions.begin; begin < q_positions.end;) {
    const Pos end = std::min((begin / kQueries + 1) * kQueries, q_positions.end);
    where.visits({begin, end}, list);
    clip(list, {0, kv_len});
    for (const Visit& visit : list) {
      const std::int64_t some = visit.keys.size() * (end - begin);
      pairs += visit.full ? some : (some + 1) / 2;
    }
    begin = end;
  }
  return pairs;
}

bool Foresight::worth_choosing(const SelectCall& call) {
  const Pos kv_len = call.q_end();
  const bool retry = kv_len < lost_with_ || kv_len >= lost_with_ + lost_with_ / 8 || n_skipped_ == kPatience;
  n_skipped_ = retry ? 0 : n_skipped_ + 1;
  return retry;
}

void Foresight::learn(const SelectCall& call, double spent, double saved) {
  lost_with_ = spent > 0 && spent >= saved ? call.q_end() : 0;
}

Selection choose(const Choice& choice, const SelectCall& call, Foresight* foresight) {
  if (call.memory != nullptr) call.memory->begin_call(call);
  Selection chosen = choose_keys(choice, call, foresight);
  if (choice.skips() > 0) let_skip(choice.skips(), chosen);
  return chosen;
}

}  // namespace saccade
