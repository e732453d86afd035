#include "plugins/llama/runner.h"

#include <chrono>
#include <utility>
#include <vector>

#include "plugins/llama/judge.h"
#include "plugins/llama/layer.h"
#include "plugins/llama/params.h"
#include "plugins/llama/support.h"
#include "saccade/attend/given_mask.h"
#include "saccade/attend/select_call.h"
#include "saccade/plan/ask.h"
#include "saccade/where/dense.h"
#include "saccade/where/window.h"

namespace saccade::llama {
namespace {

std::byte* at(const ggml_tensor& tensor, std::ptrdiff_t offset) {
  return static_cast<std::byte*>(tensor.data) + offset;
}

std::ptrdiff_t stride(const ggml_tensor& tensor, int dim) { return static_cast<std::ptrdiff_t>(tensor.nb[dim]); }

using Clock = std::chrono::steady_clock;

std::int64_t ns_since(Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count();
}

WherePtr dense() {
  static const WherePtr pattern = make_where(where::Dense{});
  return pattern;
}

}  // namespace

/// The query heads of one stream that share one mask: all of them, unless the mask has heads of its own; then every
/// n-th, as ggml deals masks out.
struct Runner::Part {
  const ggml_tensor& node;
  Pos stream, mask_head, n_mask_heads;

  Pos head(Pos i) const { return mask_head + i * n_mask_heads; }
  Pos n_heads() const { return q().ne[2] / n_mask_heads; }
  std::vector<int> heads() const {
    std::vector<int> all;
    for (Pos i = 0; i < n_heads(); ++i) all.push_back(static_cast<int>(head(i)));
    return all;
  }
  const ggml_tensor& q() const { return *node.src[0]; }
  const ggml_tensor& k() const { return *node.src[1]; }

  BiasView mask() const {
    const ggml_tensor* mask = node.src[3];
    if (mask == nullptr) return {};
    const Pos mask_stream = stream % mask->ne[3];
    return {at(*mask, mask_head * stride(*mask, 2) + mask_stream * stride(*mask, 3)), DType::f16, stride(*mask, 1)};
  }

  /// Picks the part's query heads out of one number for every query head of the node; empty stays empty.
  std::vector<float> of_heads(std::span<const float> all) const {
    std::vector<float> ours;
    for (Pos i = 0; i < n_heads() && !all.empty(); ++i) ours.push_back(all[static_cast<std::size_t>(head(i))]);
    return ours;
  }

  std::vector<float> sink_scores() const {
    const ggml_tensor* sinks = node.src[4];
    if (sinks == nullptr) return {};
    return of_heads({static_cast<const float*>(sinks->data), static_cast<std::size_t>(sinks->ne[0])});
  }

  AttendCall call(const Params& params) const {
    AttendCall call;
    call.q = {at(q(), mask_head * stride(q(), 2) + stream * stride(q(), 3)),
              DType::f32,
              q().ne[1],
              n_heads(),
              q().ne[0],
              stride(q(), 1),
              stride(q(), 2) * n_mask_heads};
    call.k = keys_or_values(*node.src[1]);
    call.v = keys_or_values(*node.src[2]);
    call.o = {reinterpret_cast<float*>(at(node, mask_head * stride(node, 1) + stream * stride(node, 3))),
              node.ne[2],
              n_heads(),
              node.ne[0],
              stride(node, 2),
              stride(node, 1) * n_mask_heads};
    call.scale = params.scale;
    call.softcap = params.softcap;
    return call;
  }

 private:
  static std::ptrdiff_t stride(const ggml_tensor& tensor, int dim) { return llama::stride(tensor, dim); }
  View keys_or_values(const ggml_tensor& t) const {
    return {at(t, stream * stride(t, 3)), *dtype_of(t.type), t.ne[1], t.ne[2], t.ne[0], stride(t, 1), stride(t, 2)};
  }
};

Record Runner::run(const ggml_tensor& node, std::shared_ptr<const Plan> plan, Team& team) {
  const auto start = Clock::now();
  if (plan != plan_) states_.clear();
  plan_ = std::move(plan);
  const ggml_tensor* mask = node.src[3];
  const Pos n_mask_heads = mask == nullptr ? 1 : mask->ne[2];
  Record record;
  record.calls = 1;
  for (Pos stream = 0; stream < node.ne[3]; ++stream) {
    for (Pos head = 0; head < n_mask_heads; ++head) run_part({node, stream, head, n_mask_heads}, team, record);
  }
  record.attention_ns = ns_since(start) - record.judged_ns;
  return record;
}

/// A pattern for each head of the call, the selectors of the plan having looked at it.
std::vector<WherePtr> Runner::choose_all(const Part& part, const AttendCall& call, Team& team, Record& record) {
  const int layer = layer_of(part.node);
  const auto start = Clock::now();
  Answer answer = ask_plan(*plan_, layer, part.heads(), [&](const Choice& choice, std::span<const int> heads) {
    LayerState& state = states_.at(call.k.data, {layer, part.stream, part.mask_head});
    return state.choose(choice, select_call_of(call, heads, layer, team));
  });
  record.heads_chosen += answer.n_asked;
  record.heads_dense_by_rule += answer.selection.n_dense_by_rule;
  record.heads_dense_by_floor += answer.selection.n_dense_by_floor;
  record.heads_dense_by_cost += answer.selection.n_dense_by_cost;
  if (answer.n_asked > 0) record.selection_ns += ns_since(start);
  return std::move(answer.selection.of_head);
}

std::int64_t Runner::show_window(const Part& part, AttendCall call, const RingRun& run, Team& team) {
  const auto start = Clock::now();
  const WherePtr window = make_where(where::Window{run.width});
  const Where* const where = window.get();
  call.where = {&where, 1};
  call.q_begin = run.q_begin;
  call.k = ordered_k_.order(call.k, run);
  call.v = ordered_v_.order(call.v, run);
  const std::vector<int> heads = part.heads();
  show_to_judge({call, layer_of(part.node), heads, team, run.width});
  return ns_since(start);
}

void Runner::run_part(const Part& part, Team& team, Record& record) {
  const Params params = params_of(part.node);
  AttendCall call = part.call(params);
  const std::vector<float> sink_scores = part.sink_scores();
  call.sink_scores = sink_scores;
  const std::vector<float> slopes = part.of_heads(alibi_slopes(params.max_bias, part.q().ne[2]));
  call.slopes = slopes;
  std::vector<int> kv_heads;
  for (Pos i = 0; i < part.n_heads(); ++i) {
    kv_heads.push_back(static_cast<int>(part.head(i) * part.k().ne[2] / part.q().ne[2]));
  }
  call.kv_head = kv_heads;

  const BiasView mask = part.mask();
  const Pos most_visible = params.n_kv_max > 0 ? params.n_kv_max : GivenMask::kNoBound;
  std::vector<const Where*> where;
  std::vector<WherePtr> chosen;
  std::optional<GivenMask> given;
  Judge* const judge = judge_now();
  const bool looks_at_windows = judge != nullptr && judge->wants_windows();
  std::optional<RingRun> ring;
  if (const auto p0 = masks_.causal_run(layer_of(part.node), mask, call.q.len, call.k.len, team, most_visible)) {
    const bool in_order = slot_order_.holds(call.k.data, *p0, call.q.len);
    if (!in_order) record.calls_not_causal = 1, states_.lose(call.k.data);
    call.q_begin = *p0;
    call.k.len = call.v.len = *p0 + call.q.len;  // the rest is padding that nobody sees
    chosen = in_order ? choose_all(part, call, team, record)
                      : std::vector(static_cast<std::size_t>(part.n_heads()), dense());
    for (const WherePtr& pattern : chosen) where.push_back(pattern.get());
    if (looks_at_windows && in_order) windows_.saw_causal(call.k.data, call.k.len);
    if (looks_at_windows && !in_order) windows_.lose(call.k.data);
    record.pairs_dense += dense_pairs(*p0, call.q.len, call.k.len, part.n_heads());
  } else {
    slot_order_.lose(call.k.data);
    states_.lose(call.k.data);
    record.calls_not_causal = 1;
    given.emplace(mask, call.q.len, call.k.len, team, most_visible);
    where.push_back(&*given);
    if (given->has_bias()) call.bias = mask;
    if (looks_at_windows) ring = windows_.find(call.k.data, mask, call.q.len, call.k.len, most_visible);
    record.pairs_dense += given->pairs() * part.n_heads();
  }
  call.where = where;
  const std::vector<HeadEdit> edits = plan_->edits(layer_of(part.node), part.heads());
  call.edits = edits;
  call.precision = plan_->precision();
  if (judge != nullptr && (ring || !chosen.empty())) {
    call.probes = judge->prepare(ring.has_value());
    if (judge->wants_lse()) {
      lse_.resize(static_cast<std::size_t>(call.q.len * call.q.n_heads));
      call.lse = lse_.data();
    }
  }
  const AttendCost cost = attend(call, team, workspace_);
  record.pairs_visited += cost.pairs_visited;
  record.pairs_i16 += cost.pairs_i16;
  record.pairs_bf16 += cost.pairs_bf16;
  record.pairs_skipped += cost.pairs_skipped;
  if (!chosen.empty()) {
    record.judged_ns += show_to_judge({call, layer_of(part.node), part.heads(), team});
  } else if (ring) {
    record.judged_ns += show_window(part, call, *ring, team);
  } else if (judge != nullptr) {
    judge->miss(layer_of(part.node), call.q.len);
  }
}

}  // namespace saccade::llama
