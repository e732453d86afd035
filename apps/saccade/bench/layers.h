#pragma once

#include <ggml-backend.h>

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "apps/saccade/bench/shape.h"
#include "saccade/base/view.h"
#include "saccade/oracle/attention.h"

namespace saccade::app {

struct FreeGgml {
  void operator()(ggml_context* context) const { ggml_free(context); }
  void operator()(ggml_backend_buffer* buffer) const { ggml_backend_buffer_free(buffer); }
};

/// Queries, keys and values of a shape, in memory as llama.cpp's cache has them (`[kv_len, n_kv_heads, head_dim]` a
/// layer, pages of the system's usual size), and what its two attentions read beside them. All layers hold the same
/// numbers at different places: keys and values bell-shaped with deviation 1, scores with deviation 3, so that a few
/// keys have most of the weight, as in a model.
///
/// Errors: Fault::kMachine when it does not fit into memory (`bytes` says how much it takes).
class Layers {
 public:
  Layers(const Shape& shape, bool with_plain);

  const Shape& shape() const { return shape_; }
  bool with_plain() const { return with_plain_; }

  ggml_tensor* q = nullptr;                ///< f32 [head_dim, n_heads, q_len]
  ggml_tensor* mask_f16 = nullptr;         ///< [kv_len, q_len]: what flash attention reads
  ggml_tensor* mask_f32 = nullptr;         ///< the same for the path without; null without it
  std::vector<ggml_tensor*> k, v;          ///< [head_dim n_kv_heads, kv_len], one a layer
  std::vector<ggml_tensor*> v_transposed;  ///< [kv_len, head_dim n_kv_heads]; empty without the plain path

  View q_view() const;
  View k_view(Pos layer) const { return kv_view(*k[static_cast<std::size_t>(layer)]); }
  View v_view(Pos layer) const { return kv_view(*v[static_cast<std::size_t>(layer)]); }
  /// Keys and values of each layer, in the order of a decode step.
  std::vector<std::span<const std::byte>> kv_bytes() const;
  /// One row of the problem, decoded by ggml: query i of `head`, and the keys and values it may see.
  oracle::Inputs row_inputs(Pos i, Pos head) const;

 private:
  View kv_view(const ggml_tensor& tensor) const;
  void fill();
  void fill_masks();

  Shape shape_;
  bool with_plain_;
  std::unique_ptr<ggml_context, FreeGgml> context_;
  std::unique_ptr<ggml_backend_buffer, FreeGgml> buffer_;
};

/// What a measurement takes: `Layers`, the two ggml graphs over them, the rows that are judged.
double bench_bytes(const Shape& shape, bool with_plain);
/// Errors: Fault::kMachine, one line that says how much is needed and how much is free.
void check_memory(double bytes, const std::string& what);

}  // namespace saccade::app
