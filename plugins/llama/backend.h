#pragma once

#include <cstdint>
#include <memory>

#include "saccade/plan/plan.h"

struct ggml_backend_reg;

namespace saccade::llama {

/// What our attention and our linear layers did since the last reset, summed over layers and heads.
struct Record {
  std::int64_t pairs_visited = 0;
  std::int64_t pairs_i16 = 0;      ///< of those, pairs that ran in 16-bit fixed point
  std::int64_t pairs_bf16 = 0;     ///< and pairs that ran in bf16; the others ran in f32
  std::int64_t pairs_skipped = 0;  ///< of those visited, taken by runs (skip_softmax)
  /// What dense causal attention, or the model's own mask, would have visited.
  std::int64_t pairs_dense = 0;
  /// FLASH_ATTN_EXT nodes that ran here.
  std::int64_t calls = 0;
  /// Of those, calls whose mask was not one causal run: they ran dense, whatever the plan.
  std::int64_t calls_not_causal = 0;
  /// Wall time of those calls, without what a judge spent on looking at them (judge.h), which is judged_ns.
  std::int64_t attention_ns = 0, judged_ns = 0;

  /// Of attention_ns, what selectors spent on choosing.
  std::int64_t selection_ns = 0;
  /// Heads of calls that a selector chose for; of those, heads that ran dense by the selector's own rule, because of a
  /// floor on recovered mass, and because selecting cost more than it saved.
  std::int64_t heads_chosen = 0, heads_dense_by_rule = 0, heads_dense_by_floor = 0, heads_dense_by_cost = 0;

  std::int64_t linear_calls = 0;  ///< MUL_MAT and MUL_MAT_ID nodes that ran here
  std::int64_t linear_flop = 0;   ///< theirs: 2 tokens x parameters that they meet
  std::int64_t linear_bf16 = 0;   ///< of linear_flop, what ran in bf16 tiles; the rest ran in 16-bit fixed point
  std::int64_t linear_ns = 0;     ///< wall time of those nodes
};

/// Our ggml backend inside this process, for our own programs: registered once, then steered from here.
/// ggml's registry is global and so is this; one context at a time uses it.

/// Registers the backend with ggml (the first call) and sets what attention it runs. Null: it declines everything and
/// ggml's own attention runs.
/// Errors: Fault::kMachine when this ggml is of a version we do not know.
void use_plan(std::shared_ptr<const Plan> plan);

/// Does a model that is loaded now keep its weights where this plan reads them, and not where ggml alone would put
/// them? Only where ggml would hide them in its AMX layout; then a model serves best the kind of plan that it was
/// loaded under.
bool places_weights();
/// For tests, before the first use_plan: as if ggml hid them here.
void pretend_ggml_hides_weights();

Record record();
void reset_record();

}  // namespace saccade::llama
