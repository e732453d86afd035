#include "plugins/llama/linear_node.h"

#include "ggml-backend-impl.h"
#include "saccade/linear/few.h"

namespace saccade::llama {
namespace {

/// From this many tokens on ours was faster for every type (docs/decisions/0008); K-quants, which ggml multiplies
/// faster than others, need more, but not in bf16 tiles (docs/decisions/0019).
constexpr std::int64_t kFewestTokens = 32, kFewestTokensK = 96;
/// The same for each expert of a mixture, on average: ggml multiplies experts more slowly, above all those that it
/// packed.
constexpr std::int64_t kFewestOfExpert = 16, kFewestOfExpertK = 96, kFewestOfExpertKFast = 32;

/// Tokens from which, and up to which, linear_few() is faster than ggml (docs/decisions/0021), which reads one token's
/// K-quants at memory's speed, and has products of many rows for them.
struct FewTokens {
  std::int64_t least, most;
};
FewTokens few_tokens(ParamFormat type) {
  switch (type) {
    case ParamFormat::q4_0:
    case ParamFormat::q4_1:
    case ParamFormat::q5_0:
    case ParamFormat::q5_1:
    case ParamFormat::q8_0:
      return {1, kFewestTokens - 1};
    case ParamFormat::q6_k:
      return {2, 20};
    default:
      return {2, 8};
  }
}

std::optional<ParamFormat> repacked_format(const ggml_tensor& weights, const Repacked& repacked) {
  if (weights.extra == nullptr || weights.ne[1] % block_of(ParamFormat::q4_0x8).n_rows != 0) return std::nullopt;
  if (weights.type == GGML_TYPE_Q4_0 && repacked.reads_q4_0) return ParamFormat::q4_0x8;
  if (weights.type == GGML_TYPE_Q4_K && repacked.reads_q4_k) return ParamFormat::q4_kx8;
  return std::nullopt;
}

bool is_matrix(const ggml_tensor& tensor) { return tensor.ne[2] == 1 && tensor.ne[3] == 1; }

bool has_floats(const ggml_tensor& tensor) {
  return tensor.type == GGML_TYPE_F32 && tensor.nb[0] == sizeof(float) && tensor.nb[1] % sizeof(float) == 0 &&
         tensor.nb[2] % sizeof(float) == 0;
}

std::ptrdiff_t floats(std::size_t bytes) { return static_cast<std::ptrdiff_t>(bytes / sizeof(float)); }

bool is_k_quant(ParamFormat type) { return block_of(type).n_params == 256; }

bool in_tiles() { return linear_precision() == Precision::kBf16; }

std::int64_t fewest_tokens(ParamFormat type) {
  return is_k_quant(type) && !in_tiles() ? kFewestTokensK : kFewestTokens;
}

std::int64_t fewest_tokens_of_expert(ParamFormat type) {
  if (!is_k_quant(type)) return kFewestOfExpert;
  return block_of(type).n_rows > 1 || in_tiles() ? kFewestOfExpertKFast : kFewestOfExpertK;
}

/// Of a MUL_MAT that is a plain product with a model's matrix.
std::optional<ParamView> params_in(const ggml_tensor& node, const Ggml& ggml, const Repacked& repacked) {
  const ggml_tensor *weights = node.src[0], *x = node.src[1];
  if (node.op != GGML_OP_MUL_MAT || weights == nullptr || x == nullptr) return std::nullopt;
  if (!has_floats(*x) || !has_floats(node) || !is_matrix(*x) || !is_matrix(node)) return std::nullopt;
  if (node.op_params[1] != 0) return std::nullopt;  // a hint that this is no plain product
  const auto params = params_of(*weights, ggml, repacked);
  if (!params || params->dim != x->ne[0] || params->n_rows != node.ne[0]) return std::nullopt;
  return params;
}

}  // namespace

std::optional<ParamFormat> param_format_of(ggml_type type) {
  switch (type) {
    case GGML_TYPE_Q4_0:
      return ParamFormat::q4_0;
    case GGML_TYPE_Q4_1:
      return ParamFormat::q4_1;
    case GGML_TYPE_Q5_0:
      return ParamFormat::q5_0;
    case GGML_TYPE_Q5_1:
      return ParamFormat::q5_1;
    case GGML_TYPE_Q8_0:
      return ParamFormat::q8_0;
    case GGML_TYPE_Q4_K:
      return ParamFormat::q4_k;
    case GGML_TYPE_Q5_K:
      return ParamFormat::q5_k;
    case GGML_TYPE_Q6_K:
      return ParamFormat::q6_k;
    case GGML_TYPE_F16:
      return ParamFormat::f16;
    case GGML_TYPE_BF16:
      return ParamFormat::bf16;
    default:
      return std::nullopt;
  }
}

std::optional<ParamView> params_of(const ggml_tensor& weights, const Ggml& ggml, const Repacked& repacked) {
  return is_matrix(weights) ? experts_of(weights, ggml, repacked) : std::nullopt;
}

std::optional<ParamView> experts_of(const ggml_tensor& weights, const Ggml& ggml, const Repacked& repacked) {
  if (weights.op != GGML_OP_NONE || weights.view_src != nullptr || weights.ne[3] != 1) return std::nullopt;
  if (weights.buffer == nullptr || weights.buffer->usage != GGML_BACKEND_BUFFER_USAGE_WEIGHTS) return std::nullopt;
  const bool is_repacked = repacked.type != nullptr && weights.buffer->buft == repacked.type;
  if (!is_repacked && !ggml.buft_is_host(weights.buffer->buft)) return std::nullopt;
  const auto format = is_repacked ? repacked_format(weights, repacked) : param_format_of(weights.type);
  if (!format || !can_multiply(*format, weights.ne[0])) return std::nullopt;
  const ParamBlock block = block_of(*format);
  if (weights.nb[0] * static_cast<std::size_t>(block.n_rows) != static_cast<std::size_t>(block.n_bytes)) {
    return std::nullopt;
  }
  return ParamView{weights.data, *format, weights.ne[1], weights.ne[0],
                   static_cast<std::ptrdiff_t>(weights.nb[1]) * block.n_rows};
}

bool can_run_linear(const ggml_tensor& node, const Ggml& ggml, const Repacked& repacked) {
  const auto params = params_in(node, ggml, repacked);
  return params && node.src[1]->ne[1] >= fewest_tokens(params->type);
}

bool can_run_few(const ggml_tensor& node, const Ggml& ggml, const Repacked& repacked) {
  const auto params = params_in(node, ggml, repacked);
  if (!params || !can_multiply_few(params->type, params->dim)) return false;
  const FewTokens few = few_tokens(params->type);
  return node.src[1]->ne[1] >= few.least && node.src[1]->ne[1] <= few.most;
}

bool can_run_experts(const ggml_tensor& node, const Ggml& ggml, const Repacked& repacked) {
  const ggml_tensor *weights = node.src[0], *x = node.src[1], *experts = node.src[2];
  if (node.op != GGML_OP_MUL_MAT_ID || weights == nullptr || x == nullptr || experts == nullptr) return false;
  if (!has_floats(*x) || !has_floats(node) || x->ne[3] != 1 || node.ne[3] != 1) return false;
  if (experts->type != GGML_TYPE_I32 || !is_matrix(*experts) || experts->nb[0] != sizeof(std::int32_t) ||
      experts->nb[1] % sizeof(std::int32_t) != 0) {
    return false;
  }
  const std::int64_t n_slots = experts->ne[0], n_tokens = experts->ne[1];
  if (x->ne[2] != n_tokens || (x->ne[1] != 1 && x->ne[1] != n_slots)) return false;
  if (node.ne[1] != n_slots || node.ne[2] != n_tokens) return false;
  const auto params = experts_of(*weights, ggml, repacked);
  if (!params || params->dim != x->ne[0] || params->n_rows != node.ne[0]) return false;
  return n_tokens * n_slots >= fewest_tokens_of_expert(params->type) * weights->ne[2];
}

ExpertsCall experts_call_of(const ggml_tensor& node, const Ggml& ggml, const Repacked& repacked) {
  const ggml_tensor &weights = *node.src[0], &x = *node.src[1], &experts = *node.src[2];
  return {.x = static_cast<const float*>(x.data),
          .x_stride = floats(x.nb[2]),
          .x_slot_stride = x.ne[1] == 1 ? 0 : floats(x.nb[1]),
          .experts = static_cast<const std::int32_t*>(experts.data),
          .experts_stride = static_cast<std::ptrdiff_t>(experts.nb[1] / sizeof(std::int32_t)),
          .params = *experts_of(weights, ggml, repacked),
          .expert_stride = static_cast<std::ptrdiff_t>(weights.nb[2]),
          .n_experts = weights.ne[2],
          .y = static_cast<float*>(node.data),
          .y_stride = floats(node.nb[2]),
          .y_slot_stride = floats(node.nb[1]),
          .n_tokens = experts.ne[1],
          .n_slots = experts.ne[0]};
}

}  // namespace saccade::llama
