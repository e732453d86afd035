#include <cmath>
#include <cstddef>
#include <span>

#include "capi/handles.h"
#include "capi/structs.h"
#include "capi/tensor.h"
#include "saccade/combine/partial.h"
#include "saccade/plan/planned.h"

namespace saccade::capi {
namespace {

const Plan& dense() {
  static const Plan plan = Plan::from_spec("dense");
  return plan;
}

Precision precision_of(std::int32_t number) {
  switch (number) {
    case SACCADE_PRECISION_AUTO:
      return Precision::kAuto;
    case SACCADE_PRECISION_F32:
      return Precision::kF32;
    case SACCADE_PRECISION_I16:
      return Precision::kI16;
    case SACCADE_PRECISION_BF16:
      return Precision::kBf16;
    default:
      fail_user("attend: precision must be one of saccade_precision, got " + std::to_string(number));
  }
}

BiasView bias_of(const saccade_tensor* theirs, Pos q_len, Pos kv_len) {
  if (theirs == nullptr) return {};
  const View mask = view_of(theirs, "mask");
  if (mask.len != q_len || mask.n_heads != 1 || mask.dim != kv_len) {
    fail_user("mask: it must be [q_len, 1, kv_len], here [" + std::to_string(q_len) + ", 1, " + std::to_string(kv_len) +
              "], got [" + std::to_string(mask.len) + ", " + std::to_string(mask.n_heads) + ", " +
              std::to_string(mask.dim) + "]");
  }
  return {mask.data, mask.dtype, mask.len_stride};
}

/// One number for each query head; none for null.
template <class T>
std::span<const T> per_head(const T* numbers, Pos n_heads) {
  return numbers == nullptr ? std::span<const T>() : std::span(numbers, static_cast<std::size_t>(n_heads));
}

void check_switch(const char* name, std::int32_t value) {
  if (value != 0 && value != 1)
    fail_user(std::string("attend: ") + name + " must be 0 or 1, got " + std::to_string(value));
}

PlannedCall planned(const saccade_attend_call& from) {
  PlannedCall to;
  AttendCall& call = to.attend;
  call.q = view_of(from.q, "q");
  call.k = view_of(from.k, "k");
  call.v = view_of(from.v, "v");
  call.o = output_of(from.o, "o");
  call.lse = from.lse;
  call.q_begin = from.q_begin;
  call.precision = precision_of(from.precision);
  call.scale = from.scale == 0.0F ? 1.0F / std::sqrt(static_cast<float>(std::max<Pos>(call.q.dim, 1))) : from.scale;
  call.softcap = from.softcap;
  call.bias = bias_of(from.mask, call.q.len, call.k.len);
  call.slopes = per_head(from.slopes, call.q.n_heads);
  call.sink_scores = per_head(from.sink_scores, call.q.n_heads);
  call.kv_head = per_head(from.kv_head, call.q.n_heads);
  check_switch("not_causal", from.not_causal);
  to.causal = from.not_causal == 0;
  if (from.layer < 0) fail_user("attend: layer must be >= 0, got " + std::to_string(from.layer));
  to.layer = from.layer;
  return to;
}

saccade_cost cost_of(const PlannedCost& cost) {
  return {.struct_size = sizeof(saccade_cost),
          .pairs_visited = cost.attend.pairs_visited,
          .pairs_dense = cost.pairs_dense,
          .pairs_i16 = cost.attend.pairs_i16,
          .pairs_bf16 = cost.attend.pairs_bf16,
          .select_flop = cost.select.flop,
          .select_bytes = cost.select.bytes,
          .heads_chosen = cost.heads_chosen,
          .heads_dense_by_rule = cost.heads_dense_by_rule,
          .heads_dense_by_floor = cost.heads_dense_by_floor,
          .heads_dense_by_cost = cost.heads_dense_by_cost,
          .pairs_skipped = cost.attend.pairs_skipped};
}

/// n_rows x dim floats are an array that memory can hold.
void check_rows(std::int64_t n_rows, std::int64_t dim) {
  constexpr std::int64_t kMost = std::int64_t{1} << 40;
  if (n_rows < 0 || dim < 0 || (dim > 0 && n_rows > kMost / dim)) {
    fail_user("merge: n_rows and dim must be >= 0 and their product at most " + std::to_string(kMost) + ", got " +
              std::to_string(n_rows) + " and " + std::to_string(dim));
  }
}

}  // namespace
}  // namespace saccade::capi

saccade_status saccade_attend(saccade_engine* engine, const saccade_plan* plan, const saccade_attend_call* call) {
  using namespace saccade::capi;
  return guard([&] {
    needed(engine, "engine");
    const saccade_attend_call known = taken(call, offsetof(saccade_attend_call, lse), "attend call");
    const std::size_t cost_size =
        known.cost == nullptr ? 0 : size_of(known.cost, sizeof known.cost->struct_size, "cost");
    const saccade::PlannedCall planned_call = planned(known);
    const std::lock_guard turn(engine->turn);
    const saccade::PlannedCost cost =
        saccade::attend(plan == nullptr ? dense() : plan->plan, planned_call, *engine->team, engine->workspace);
    if (known.cost != nullptr) give(cost_of(cost), cost_size, known.cost);
  });
}

saccade_status saccade_merge(int64_t n_rows, int64_t dim, float* o, float* lse, const float* other_o,
                             const float* other_lse) {
  using namespace saccade::capi;
  return guard([&] {
    check_rows(n_rows, dim);
    if (n_rows == 0) return;
    needed(lse, "lse");
    needed(other_lse, "other_lse");
    if (dim > 0) needed(o, "o");
    if (dim > 0) needed(other_o, "other_o");
    for (std::int64_t row = 0; row < n_rows; ++row) {
      const auto n = static_cast<std::size_t>(dim);
      saccade::Partial into{{o + row * dim, n}, lse[row]};
      // Partial is written to only on the left side of a merge.
      const saccade::Partial other{{const_cast<float*>(other_o) + row * dim, n}, other_lse[row]};
      saccade::merge(into, other);
      lse[row] = into.lse;
    }
  });
}
