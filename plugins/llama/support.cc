#include "plugins/llama/support.h"

#include <cmath>
#include <cstring>

#include "plugins/llama/params.h"
#include "saccade/attend/attend.h"

namespace saccade::llama {
namespace {

bool has_contiguous_rows(const ggml_tensor& tensor, DType dtype) {
  return tensor.nb[0] == (row_bytes(dtype, block_len(dtype)));
}

bool sinks_fit(const ggml_tensor* sinks, const ggml_tensor& q) {
  return sinks == nullptr || (sinks->type == GGML_TYPE_F32 && sinks->ne[0] == q.ne[2] && sinks->nb[0] == sizeof(float));
}

bool mask_fits(const ggml_tensor* mask, const ggml_tensor& q, const ggml_tensor& k) {
  if (mask == nullptr) return true;
  return mask->type == GGML_TYPE_F16 && mask->nb[0] == 2 && mask->ne[0] >= k.ne[1] && mask->ne[1] >= q.ne[1] &&
         q.ne[2] % mask->ne[2] == 0 && q.ne[3] % mask->ne[3] == 0;
}

}  // namespace

std::optional<DType> dtype_of(ggml_type type) {
  switch (type) {
    case GGML_TYPE_F32:
      return DType::f32;
    case GGML_TYPE_F16:
      return DType::f16;
    case GGML_TYPE_BF16:
      return DType::bf16;
    case GGML_TYPE_Q8_0:
      return DType::q8_0;
    case GGML_TYPE_Q4_0:
      return DType::q4_0;
    default:
      return std::nullopt;
  }
}

bool can_run(const ggml_tensor& node) {
  const ggml_tensor *q = node.src[0], *k = node.src[1], *v = node.src[2];
  if (q == nullptr || k == nullptr || v == nullptr) return false;
  const Params params = params_of(node);
  if (!std::isfinite(params.max_bias) || !std::isfinite(params.scale) || !std::isfinite(params.softcap)) return false;

  const auto k_dtype = dtype_of(k->type);
  const auto v_dtype = dtype_of(v->type);
  if (q->type != GGML_TYPE_F32 || node.type != GGML_TYPE_F32 || !k_dtype || !v_dtype) return false;
  if (!can_attend(DType::f32, *k_dtype, *v_dtype, q->ne[0], v->ne[0])) return false;
  if (!has_contiguous_rows(*q, DType::f32) || !has_contiguous_rows(*k, *k_dtype) ||
      !has_contiguous_rows(*v, *v_dtype)) {
    return false;
  }
  const bool one_shape = k->ne[0] == q->ne[0] && v->ne[1] == k->ne[1] && v->ne[2] == k->ne[2] &&
                         q->ne[2] % k->ne[2] == 0 && k->ne[3] == q->ne[3] && v->ne[3] == q->ne[3];
  const bool plain_output = node.ne[0] == v->ne[0] && node.ne[1] == q->ne[2] && node.ne[2] == q->ne[1] &&
                            node.ne[3] == q->ne[3] && node.nb[0] == sizeof(float);
  return one_shape && plain_output && mask_fits(node.src[3], *q, *k) && sinks_fit(node.src[4], *q);
}

}  // namespace saccade::llama
