#include "saccade/where/choice.h"

#include <algorithm>
#include <map>
#include <new>

#include "saccade/base/error.h"
#include "saccade/where/dense.h"
#include "saccade/where/none.h"
#include "saccade/where/parts/memory.h"

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
    std::vector<Selection> chosen;
    for (const ChoicePtr& part : parts_) {
      if (!part->reviews()) part->choose(call, chosen.emplace_back());
    }
    if (chosen.empty()) make_choice(where::None{})->choose(call, chosen.emplace_back());
    out = join_all(std::move(chosen), call.heads.size());
    for (const ChoicePtr& part : parts_) part->review(call, out);
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
  Selection join_all(std::vector<Selection> chosen, std::size_t n_heads) const {
    Selection out = chosen.front();
    for (std::size_t i = 1; i < chosen.size(); ++i) {
      const Selection& more = chosen[i];
      out.scope = std::min(out.scope, more.scope);
      out.lifetime = std::min(out.lifetime, more.lifetime);
      out.cost += more.cost;
      out.n_dense_by_rule += more.n_dense_by_rule;
    }
    std::map<std::vector<WherePtr>, WherePtr> made;  // heads whose parts are the same share the whole
    for (std::size_t head = 0; head < n_heads; ++head) {
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

ChoicePtr join(Join how, std::vector<ChoicePtr> parts) {
  SACCADE_ASSERT(!parts.empty(), "a union or intersection has at least one part");
  if (parts.size() == 1) return std::move(parts.front());
  std::vector<WherePtr> patterns;
  for (const ChoicePtr& part : parts) {
    if (WherePtr pattern = part->pattern()) patterns.push_back(std::move(pattern));
  }
  if (patterns.size() == parts.size()) return make_choice(join(how, std::move(patterns)));
  return std::make_shared<Joined>(how, std::move(parts));
}

/// A pair that a list names costs this much more than one of dense attention, whose blocks are larger and shared by all
/// heads: `saccade bench attend --density`.
constexpr double kTaxOfLists = 1.15;

void run_dense_where_nothing_is_saved(const SelectCall& call, Selection& chosen) {
  static const WherePtr dense = make_where(where::Dense{});
  const Range q_positions{call.q_begin, call.q_end()};
  const auto all = static_cast<double>(estimated_pairs(*dense, q_positions, call.k.len));
  std::map<const Where*, bool> worth_it;
  for (WherePtr& where : chosen.of_head) {
    if (where == nullptr) continue;
    const auto [known, is_new] = worth_it.try_emplace(where.get(), false);
    if (is_new) {
      const auto some = static_cast<double>(estimated_pairs(*where, q_positions, call.k.len));
      known->second = some * kTaxOfLists < all || some >= all;  // one that is dense already is none of ours
    }
    if (known->second) continue;
    where = dense;
    ++chosen.n_dense_by_cost;
  }
}

}  // namespace

ChoicePtr make_choice(WherePtr pattern) { return std::make_shared<Pattern>(std::move(pattern)); }

ChoicePtr unite(std::vector<ChoicePtr> parts) { return join(Join::kUnite, std::move(parts)); }

ChoicePtr intersect(std::vector<ChoicePtr> parts) {
  for (const ChoicePtr& part : parts) {
    if (part->reviews()) fail_user("where: floor looks at what stands before it, joined by +, not by &");
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

Selection choose(const Choice& choice, const SelectCall& call) {
  Selection chosen;
  try {
    if (call.memory != nullptr) call.memory->begin_call(call);
    choice.choose(call, chosen);
    if (choice.reviews()) {  // alone: it looks at nothing
      make_choice(where::None{})->choose(call, chosen);
      choice.review(call, chosen);
    }
  } catch (const std::bad_alloc&) {
    fail_machine("where: not enough memory to select keys");
  }
  SACCADE_ASSERT(chosen.of_head.size() == call.heads.size(), "a pattern for each head");
  if (call.fallbacks) run_dense_where_nothing_is_saved(call, chosen);
  return chosen;
}

}  // namespace saccade
