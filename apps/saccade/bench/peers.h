#pragma once

#include <ggml-backend.h>

#include <cstdint>
#include <memory>
#include <span>

#include "apps/saccade/bench/layers.h"

namespace saccade::app {

/// ggml's CPU backend, started once. Errors: Fault::kMachine when there is none.
ggml_backend_t ggml_cpu();
/// Errors: Fault::kMachine when ggml fails.
void ggml_compute(ggml_cgraph* graph, int n_threads);

/// ggml's own attention over all layers of the data, one graph, built as llama.cpp builds it (build_attn_mha): with
/// flash attention one node a layer; without, mul_mat, soft_max_ext, mul_mat over transposed values.
///
/// Requires  the data outlives it; with_plain() when not `flash`
/// Errors    Fault::kMachine when memory runs out or ggml fails
class GgmlAttention {
 public:
  GgmlAttention(const Layers& data, bool flash);
  void run(int n_threads);
  /// Of the last layer: [q_len, n_heads, head_dim].
  std::span<float> o() const;

 private:
  struct FreeAllocator {
    void operator()(ggml_gallocr* allocator) const;
  };
  ggml_tensor* layer(const Layers& data, std::size_t index, bool flash);

  std::unique_ptr<ggml_context, FreeGgml> context_;
  std::unique_ptr<ggml_gallocr, FreeAllocator> allocator_;
  ggml_cgraph* graph_ = nullptr;
  ggml_tensor* o_ = nullptr;
};

}  // namespace saccade::app
