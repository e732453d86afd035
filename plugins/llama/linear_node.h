#pragma once

#include <cstdint>
#include <optional>

#include "ggml.h"
#include "plugins/llama/repacked.h"
#include "saccade/linear/experts.h"
#include "saccade/linear/linear.h"

namespace saccade::llama {

/// ggml's type as ours, where we have it.
std::optional<ParamFormat> param_format_of(ggml_type type);

/// A model's weights as parameters that we read where they lie: in host memory in ggml's plain blocks, or repacked.
/// Nothing for what is no matrix, no weight of a model (a cache, an activation) or of a type or layout we do not read.
std::optional<ParamView> params_of(const ggml_tensor& weights, const Ggml& ggml, const Repacked& repacked);

/// The same for the matrices of a mixture of experts, [n_rows, dim] each: those of the first.
std::optional<ParamView> experts_of(const ggml_tensor& weights, const Ggml& ggml, const Repacked& repacked);

/// May this MUL_MAT run here, in linear()? Only with enough tokens that decoding the parameters pays.
bool can_run_linear(const ggml_tensor& node, const Ggml& ggml, const Repacked& repacked);

/// May it run in linear_few()? With the numbers of tokens in which that is faster than ggml for plain weights of the
/// type; decode steps with what ggml packed stay with ggml.
bool can_run_few(const ggml_tensor& node, const Ggml& ggml, const Repacked& repacked);

/// May this MUL_MAT_ID run here? Only with enough tokens for each expert on average; slots read one row of a token
/// each, or all of them the same.
bool can_run_experts(const ggml_tensor& node, const Ggml& ggml, const Repacked& repacked);

/// Requires can_run_experts(...), and tensors that have their memory.
ExpertsCall experts_call_of(const ggml_tensor& node, const Ggml& ggml, const Repacked& repacked);

/// Floating-point operations of a MUL_MAT or a MUL_MAT_ID.
inline std::int64_t flop_of(const ggml_tensor& node) {
  return 2 * node.src[0]->ne[0] * node.ne[0] * node.ne[1] * node.ne[2];
}

}  // namespace saccade::llama
