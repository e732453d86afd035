#include "apps/saccade/bench/select_judge.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "apps/saccade/interrupt.h"
#include "apps/saccade/rows.h"
#include "saccade/attend/select_call.h"
#include "saccade/base/error.h"
#include "saccade/plan/ask.h"
#include "saccade/where/choice.h"
#include "saccade/where/dense.h"

namespace saccade::app {
namespace {

const Where& dense() {
  static const WherePtr pattern = make_where(where::Dense{});
  return *pattern;
}

}  // namespace

/// A spec at one call: its choice, its output and where its numbers go. Without a result it is dense.
struct SelectJudge::Entrant {
  const Plan* plan = nullptr;
  KeyMemory* memory = nullptr;
  SelectResult* result = nullptr;
  std::vector<float>* o = nullptr;
  Selection chosen;  ///< of the last run
  AttendCost cost;
  double select_s = 0, attend_s = 0;

  MutableView view(const AttendCall& call) const {
    const auto row = static_cast<std::ptrdiff_t>(call.o.dim * sizeof(float));
    return {o->data(), call.o.len, call.o.n_heads, call.o.dim, row * call.o.n_heads, row};
  }

  /// A pattern for each head, as the plug-in's runner asks for them.
  void choose(const llama::JudgedCall& judged, bool fallbacks) {
    const auto ask = [&](const Choice& choice, std::span<const int> heads) {
      SelectCall select = select_call_of(judged.call, heads, judged.layer, judged.team);
      select.fallbacks = fallbacks;
      select.memory = memory;
      return saccade::choose(choice, select);
    };
    chosen = ask_plan(*plan, judged.layer, judged.heads, ask).selection;
  }
};

SelectJudge::SelectJudge(What what) : what_(std::move(what)) { llama::set_judge(this); }

SelectJudge::~SelectJudge() { llama::set_judge(nullptr); }

bool SelectJudge::is_wanted(const llama::JudgedCall& judged) const {
  const Pos end = judged.call.q_begin + judged.call.q.len;
  return std::ranges::binary_search(what_.layers, judged.layer) &&
         (judged.call.q_begin >= what_.n_prompt || std::ranges::find(what_.ends, end) != what_.ends.end());
}

std::vector<SelectJudge::Entrant> SelectJudge::entrants_for(const llama::JudgedCall& judged) {
  const AttendCall& call = judged.call;
  const bool decodes = call.q_begin >= what_.n_prompt;
  std::vector<Entrant> entrants(1);
  for (std::size_t i = 0; i < what_.attentions.size(); ++i) {
    const Plan& plan = *what_.attentions[i].plan;
    const bool selects = std::ranges::any_of(judged.heads, [&](int head) {
      const SelectTraits traits = plan.choice(judged.layer, head).traits();
      return decodes ? traits.decode : traits.prefill;
    });
    if (!selects) continue;
    SelectResult& result = results_[{decodes, decodes ? what_.n_prompt : call.q_begin, i, judged.layer}];
    if (result.heads.empty()) {
      result.attn = what_.attentions[i].typed;
      result.decodes = decodes, result.layer = judged.layer;
      result.q_begin = call.q_begin, result.q_len = call.q.len, result.kv_len = call.k.len;
      result.heads.resize(judged.heads.size());
    }
    entrants.push_back({.plan = &plan, .memory = &memories_[{i, judged.layer}], .result = &result});
  }
  outputs_.resize(std::max(outputs_.size(), entrants.size()));
  for (std::size_t i = 0; i < entrants.size(); ++i) {
    outputs_[i].resize(static_cast<std::size_t>(call.o.len * call.o.n_heads * call.o.dim));
    entrants[i].o = &outputs_[i];
  }
  return entrants;
}

void SelectJudge::run(const llama::JudgedCall& judged, Entrant& entrant) {
  stop_if_interrupted();
  const Stopwatch selecting;
  if (entrant.plan != nullptr) entrant.choose(judged, what_.fallbacks);
  entrant.select_s = selecting.seconds();
  std::vector<const Where*> where = {&dense()};
  if (entrant.plan != nullptr) where.clear();
  for (const WherePtr& pattern : entrant.chosen.of_head) where.push_back(pattern.get());
  AttendCall call = judged.call;
  call.o = entrant.view(call);
  call.lse = nullptr;
  call.where = where;
  call.precision = what_.precision;
  const Stopwatch attending;
  entrant.cost = attend(call, judged.team, workspace_);
  entrant.attend_s = attending.seconds();
}

void SelectJudge::time(const llama::JudgedCall& judged, std::vector<Entrant>& entrants) {
  for (std::int64_t round = -1; round < what_.repetitions; ++round) {  // the first pays for memory, and is not counted
    for (Entrant& entrant : entrants) {
      run(judged, entrant);
      if (round < 0 || entrant.result == nullptr) continue;
      entrant.result->select_s.push_back(entrant.select_s);
      entrant.result->attend_s.push_back(entrant.attend_s);
      entrant.result->total_s.push_back(entrant.select_s + entrant.attend_s);
      entrant.result->dense_s.push_back(entrants.front().attend_s);
    }
  }
}

void SelectJudge::judge_all(const llama::JudgedCall& judged, std::vector<Entrant>& entrants) {
  const AttendCall& call = judged.call;
  const auto rows = judge::sample_rows(call.q.len, what_.n_rows);
  for (std::size_t head = 0; head < judged.heads.size(); ++head) {
    const judge::DenseRows exact = judge::dense_rows(call, static_cast<int>(head), rows, judged.team, true);
    for (Entrant& entrant : entrants) {
      const Where& where = entrant.plan == nullptr ? dense() : *entrant.chosen.of_head[head];
      const auto mass = judge::judge_head(exact, static_cast<int>(head), where, entrant.view(call));
      if (!std::isfinite(mass.output_error()))
        fail_machine("bench select: a result is not finite; nothing is reported");
      if (entrant.result != nullptr) entrant.result->heads[head] += mass;
    }
  }
}

void SelectJudge::look(const llama::JudgedCall& judged) {
  if (!is_wanted(judged)) return;
  std::vector<Entrant> entrants = entrants_for(judged);
  if (entrants.size() == 1) return;
  time(judged, entrants);
  judge_all(judged, entrants);
  for (const Entrant& entrant : entrants) {
    if (entrant.result == nullptr) continue;
    SelectResult& result = *entrant.result;
    result.cost += entrant.cost;
    result.pairs_dense += entrants.front().cost.pairs_visited;
    result.n_heads += static_cast<std::int64_t>(judged.heads.size());
    result.n_dense_by_rule += entrant.chosen.n_dense_by_rule;
    result.n_dense_by_floor += entrant.chosen.n_dense_by_floor;
    result.n_dense_by_cost += entrant.chosen.n_dense_by_cost;
  }
}

std::vector<SelectResult> SelectJudge::results() const {
  std::vector<SelectResult> all;
  for (const auto& [key, result] : results_) all.push_back(result);
  return all;
}

}  // namespace saccade::app
