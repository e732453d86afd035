#pragma once

#include <cmath>
#include <cstring>

#include "ggml.h"

namespace saccade::llama {

/// The numbers FLASH_ATTN_EXT carries beside its tensors. Its precision is not among them, ours is f32 whatever it
/// says; nor is the hint for the longest mask row, because the mask is read anyway.
struct Params {
  float scale = 0.0F, max_bias = 0.0F, softcap = 0.0F;
};

inline Params params_of(const ggml_tensor& node) {
  Params params;
  std::memcpy(&params.scale, node.op_params, sizeof(float));
  std::memcpy(&params.max_bias, node.op_params + 1, sizeof(float));
  std::memcpy(&params.softcap, node.op_params + 2, sizeof(float));
  params.softcap = std::fabs(params.softcap);  // c tanh(s / c) is the same for c and -c
  return params;
}

}  // namespace saccade::llama
