#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "ggml.h"
#include "saccade/base/view.h"

namespace saccade::llama {

/// The numbers FLASH_ATTN_EXT carries beside its tensors. Its precision is not among them: ours is f32 or better than
/// what it asks for, whatever it says.
struct Params {
  float scale = 0.0F, max_bias = 0.0F, softcap = 0.0F;
  std::int32_t n_kv_max = 0;  ///< no row of the mask shows more keys than this; 0: nothing is known
};

inline Params params_of(const ggml_tensor& node) {
  Params params;
  std::memcpy(&params.scale, node.op_params, sizeof(float));
  std::memcpy(&params.max_bias, node.op_params + 1, sizeof(float));
  std::memcpy(&params.softcap, node.op_params + 2, sizeof(float));
  params.softcap = std::fabs(params.softcap);  // c tanh(s / c) is the same for c and -c
  std::memcpy(&params.n_kv_max, node.op_params + 4, sizeof(params.n_kv_max));
  return params;
}

/// What multiplies the mask in each of n_heads heads (ALiBi): with n the largest power of two up to n_heads, head h has
/// 2^(-max_bias (h + 1) / n), and the heads beyond n the odd steps of half that size. Empty, that is 1, where max_bias
/// is not positive. In f32 powers of f32 powers, as ggml computes them.
/// Source: ALiBi, arXiv:2108.12409; ggml-cpu/ops.cpp
inline std::vector<float> alibi_slopes(float max_bias, Pos n_heads) {
  std::vector<float> slopes;
  if (!(max_bias > 0.0F)) return slopes;
  Pos n = 1;
  while (2 * n <= n_heads) n *= 2;
  const float whole = std::pow(2.0F, -max_bias / static_cast<float>(n));
  const float half = std::pow(2.0F, -(max_bias / 2.0F) / static_cast<float>(n));
  for (Pos head = 0; head < n_heads; ++head) {
    slopes.push_back(head < n ? std::pow(whole, static_cast<float>(head + 1))
                              : std::pow(half, static_cast<float>(2 * (head - n) + 1)));
  }
  return slopes;
}

}  // namespace saccade::llama
