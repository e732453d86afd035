#pragma once

#include <ggml.h>

#include <cstddef>
#include <string>

#include "saccade/base/view.h"

namespace saccade::app {

/// One measurement's attention: the last q_len queries of a text of kv_len tokens, causal, in each of n_layers layers.
struct Shape {
  Pos head_dim = 0, kv_len = 0, q_len = 0, n_heads = 0, n_kv_heads = 0, n_layers = 1;
  ggml_type type = GGML_TYPE_F16;  ///< of keys and values

  Pos q_begin() const { return kv_len - q_len; }
  float scale() const;
  /// Visible (query, key) pairs of one layer, over query heads.
  double pairs() const;
  /// Keys and values of one layer.
  std::size_t kv_bytes() const;
  std::string text() const;
};

/// A GGUF type name that our attention reads, e.g. f16. Errors: Fault::kUser, one line with the nearest.
ggml_type kv_type(const std::string& word);

/// llama.cpp keeps the values transposed without flash attention, which blocks of quantised values do not allow.
bool has_plain_path(ggml_type type);

/// Errors: Fault::kUser when our attention does not take the shape.
void check(const Shape& shape);

}  // namespace saccade::app
