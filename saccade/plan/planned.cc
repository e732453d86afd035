#include "saccade/plan/planned.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "saccade/attend/check.h"
#include "saccade/attend/given_mask.h"
#include "saccade/attend/look.h"
#include "saccade/attend/select_call.h"
#include "saccade/base/error.h"
#include "saccade/plan/ask.h"
#include "saccade/where/dense.h"
#include "saccade/where/parts/stoppable_team.h"

namespace saccade {
namespace {

const WherePtr& dense() {
  static const WherePtr pattern = make_where(where::Dense{});
  return pattern;
}

/// Dense in every layer and head, in whatever numbers.
bool is_dense(const Plan& plan) {
  static const Plan all = Plan::from_spec("dense");
  return plan.with_precision(Precision::kAuto).with_linear(LinearLayers::kAuto) == all;
}

/// A pattern that counts queries from 0, for queries that begin at `begin`.
class Placed final : public Where {
 public:
  Placed(WherePtr inner, Pos begin) : inner_(std::move(inner)), begin_(begin) {}
  bool admits(Pos q_pos, Pos k_pos) const override { return inner_->admits(q_pos - begin_, k_pos); }
  void visits(Range q_block, VisitList& out) const override {
    inner_->visits({q_block.begin - begin_, q_block.end - begin_}, out);
  }
  void mask(Pos q_pos, Range keys, std::uint32_t* words) const override { inner_->mask(q_pos - begin_, keys, words); }
  double skips() const override { return inner_->skips(); }

 private:
  WherePtr inner_;
  Pos begin_;
};

constexpr const char* kStopped = "attend: stopped by the caller";

/// Everybody sees every key, whatever their positions.
class Everything final : public Where {
 public:
  bool admits(Pos, Pos) const override { return true; }
  void visits(Range, VisitList& out) const override { out = {{{0, std::numeric_limits<Pos>::max()}, true}}; }
  void mask(Pos, Range keys, std::uint32_t* words) const override {
    mask_of_interval({0, std::numeric_limits<Pos>::max()}, keys, words);
  }
};

/// The same pattern until the caller has enough of it; then nobody sees anything, and the items that are left cost
/// nothing. Attention asks every item for its visits, so this needs no check in any loop.
class Until final : public Where {
 public:
  struct Asked {
    std::function<bool()> stop;
    std::thread::id caller;
    std::atomic<bool> stopped{false};
  };
  Until(const Where* inner, Asked* asked) : inner_(inner), asked_(asked) {}
  bool admits(Pos q_pos, Pos k_pos) const override { return inner_->admits(q_pos, k_pos); }
  void visits(Range q_block, VisitList& out) const override {
    if (std::this_thread::get_id() == asked_->caller && asked_->stop()) asked_->stopped = true;
    if (asked_->stopped) return out.clear();
    inner_->visits(q_block, out);
  }
  void mask(Pos q_pos, Range keys, std::uint32_t* words) const override { inner_->mask(q_pos, keys, words); }
  Pos q_step() const override { return inner_->q_step(); }
  double skips() const override { return inner_->skips(); }

 private:
  const Where* inner_;
  Asked* asked_;
};

/// What the call needs to be checked like one that knows where to look.
void check(const AttendCall& call) {
  AttendCall complete = call;
  const Where* const anywhere = dense().get();
  if (complete.where.empty()) complete.where = {&anywhere, 1};
  detail::check(complete);
}

void check(const Plan& plan, const PlannedCall& call) {
  const auto n_heads = static_cast<std::size_t>(call.attend.q.n_heads);
  if (call.heads.empty()) {
    plan.check(std::numeric_limits<int>::max(), static_cast<int>(n_heads));
  } else if (call.heads.size() != n_heads) {
    fail_user("attend: heads must have one entry per query head (" + std::to_string(n_heads) + "), got " +
              std::to_string(call.heads.size()));
  }
  if (call.causal || !call.attend.where.empty() || is_dense(plan)) return;
  fail_user("attend: without causal, attn must be dense or a list of visits: patterns and selectors are causal, got " +
            plan.print());
}

std::vector<int> kv_heads_of(const AttendCall& call) {
  std::vector<int> kv_head(call.kv_head.begin(), call.kv_head.end());
  for (Pos head = static_cast<Pos>(kv_head.size()); head < call.q.n_heads; ++head) {
    kv_head.push_back(static_cast<int>(head * call.k.n_heads / call.q.n_heads));
  }
  return kv_head;
}

SelectCall select_call(const PlannedCall& call, std::span<const int> kv_head, Team& team) {
  AttendCall attend = call.attend;
  attend.kv_head = kv_head;
  SelectCall select = select_call_of(attend, {}, call.layer, team);
  select.fallbacks = call.fallbacks;
  select.memory = call.memory == nullptr ? nullptr : &call.memory->keys;
  if (select.q_end() > select.k.len) {
    fail_user(
        "attend: a selector chooses for queries that have a key of their own: q_begin + q_len must be <= kv_len "
        "(" +
        std::to_string(select.k.len) + "), got " + std::to_string(select.q_end()));
  }
  select.k.len = select.q_end();  // nobody sees the others
  return select;
}

/// The plan's number of each query head of the call.
std::vector<int> numbers_of(const PlannedCall& call) {
  std::vector<int> heads(call.heads.begin(), call.heads.end());
  for (int head = static_cast<int>(heads.size()); head < call.attend.q.n_heads; ++head) heads.push_back(head);
  return heads;
}

/// The selection of a call that has been checked.
Answer choose_checked(const Plan& plan, const PlannedCall& call, Team& whole_team) {
  StoppableTeam team(whole_team, call.stop, kStopped);
  const std::vector<int> kv_head = kv_heads_of(call.attend);
  return ask_plan(plan, call.layer, numbers_of(call), [&](const Choice& choice, std::span<const int> heads) {
    if (call.attend.q.len == 0 || call.attend.k.len == 0) {  // nobody to choose for, or nothing
      Selection none;
      none.of_head.assign(heads.size(), dense());
      return none;
    }
    SelectCall select = select_call(call, kv_head, team);
    select.heads = heads;
    Foresight* const foresight =
        call.memory == nullptr ? nullptr : &call.memory->foresight[{&choice, select.decodes()}];
    return saccade::choose(choice, select, foresight);
  });
}

/// Patterns on their way into a call: owned or borrowed, one for all heads or one a head.
class Wheres {
 public:
  void borrow(std::span<const Where* const> where) { where_.assign(where.begin(), where.end()); }
  void own(const std::vector<WherePtr>& where) {
    for (const WherePtr& one : where) owned_.push_back(one), where_.push_back(one.get());
  }
  /// Replaces each pattern by `change(pattern)`; equal ones stay equal.
  template <class Change>
  void change(const Change& change) {
    std::map<const Where*, const Where*> made;
    for (const Where*& where : where_) {
      const auto [known, is_new] = made.try_emplace(where, nullptr);
      if (is_new) known->second = owned_.emplace_back(change(where)).get();
      where = known->second;
    }
  }
  std::span<const Where* const> all() const { return where_; }

 private:
  std::vector<WherePtr> owned_;
  std::vector<const Where*> where_;
};

/// A borrowed pattern as a shared one; lives as long as what it points to.
WherePtr borrowed(const Where* where) { return {WherePtr{}, where}; }

std::int64_t visible_pairs(const PlannedCall& call) {
  const AttendCall& attend = call.attend;
  return call.causal ? dense_pairs(attend.q_begin, attend.q.len, attend.k.len, attend.q.n_heads)
                     : attend.q.len * attend.k.len * attend.q.n_heads;
}

/// Sees to it that the bias is read wherever it may say something.
void mind_bias(const PlannedCall& planned, AttendCall& call, Wheres& wheres, std::int64_t& pairs_dense, Team& team) {
  if (call.bias.data == nullptr) return;
  const auto given = std::make_shared<GivenMask>(call.bias, call.q.len, call.k.len, team);
  const auto placed = std::make_shared<Placed>(given, call.q_begin);
  if (!planned.causal) pairs_dense = given->pairs() * call.q.n_heads;
  if (!given->has_bias()) call.bias = {};
  wheres.change([&](const Where* where) { return intersect({borrowed(where), placed}); });
}

}  // namespace

PlannedCost& PlannedCost::operator+=(const PlannedCost& more) {
  attend += more.attend;
  select += more.select;
  pairs_dense += more.pairs_dense;
  heads_chosen += more.heads_chosen;
  heads_dense_by_rule += more.heads_dense_by_rule;
  heads_dense_by_floor += more.heads_dense_by_floor;
  heads_dense_by_cost += more.heads_dense_by_cost;
  return *this;
}

Selection choose(const Plan& plan, const PlannedCall& call, Team& team) {
  AttendCall scored = call.attend;  // without values: they are not looked at
  scored.v = scored.k;
  scored.o = {nullptr, scored.q.len, scored.q.n_heads, scored.q.dim, 0, 0};
  scored.bias = {}, scored.slopes = {}, scored.sink_scores = {}, scored.precision = Precision::kF32;
  check(scored);
  check(plan, call);
  return choose_checked(plan, call, team).selection;
}

PlannedCost attend(const Plan& plan, const PlannedCall& planned, Team& team, Workspace& workspace) {
  AttendCall call = planned.attend;
  if (call.precision == Precision::kAuto) call.precision = plan.precision();
  check(call);
  check(plan, planned);
  PlannedCost cost;
  cost.pairs_dense = visible_pairs(planned);
  const std::vector<HeadEdit> edits = plan.edits(planned.layer, numbers_of(planned));
  if (call.edits.empty()) call.edits = edits;
  Wheres wheres;
  if (!call.where.empty()) {
    wheres.borrow(call.where);
    if (planned.causal) wheres.change([](const Where* where) { return intersect({borrowed(where), dense()}); });
  } else {
    const auto [chosen, n_asked] = choose_checked(plan, planned, team);
    wheres.own(chosen.of_head);
    cost.select = chosen.cost;
    cost.heads_chosen = n_asked;
    cost.heads_dense_by_rule = chosen.n_dense_by_rule;
    cost.heads_dense_by_floor = chosen.n_dense_by_floor;
    cost.heads_dense_by_cost = chosen.n_dense_by_cost;
    if (!planned.causal) wheres.change([](const Where*) { return std::make_shared<Everything>(); });
  }
  mind_bias(planned, call, wheres, cost.pairs_dense, team);
  Until::Asked asked{planned.stop, std::this_thread::get_id()};
  if (planned.stop) wheres.change([&](const Where* where) { return std::make_shared<Until>(where, &asked); });
  call.where = wheres.all();
  cost.attend = saccade::attend(call, team, workspace);
  call.probes = {};
  if (!planned.second_looks.empty() && !asked.stopped) look(call, call.lse, planned.second_looks, team, workspace);
  if (asked.stopped) fail_user(kStopped);
  return cost;
}

}  // namespace saccade
