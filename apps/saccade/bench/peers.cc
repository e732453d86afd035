#include "apps/saccade/bench/peers.h"

#include <ggml-alloc.h>

#include "saccade/base/error.h"

namespace saccade::app {

ggml_backend_t ggml_cpu() {
  static const ggml_backend_t backend = [] {
    if (ggml_backend_reg_count() == 0) ggml_backend_load_all();
    return ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr);
  }();
  if (backend == nullptr) fail_machine("ggml has no CPU backend here");
  return backend;
}

void ggml_compute(ggml_cgraph* graph, int n_threads) {
  const auto reg = ggml_backend_dev_backend_reg(ggml_backend_get_device(ggml_cpu()));
  const auto set_n_threads = reinterpret_cast<ggml_backend_set_n_threads_t>(
      ggml_backend_reg_get_proc_address(reg, "ggml_backend_set_n_threads"));
  set_n_threads(ggml_cpu(), n_threads);
  if (ggml_backend_graph_compute(ggml_cpu(), graph) != GGML_STATUS_SUCCESS) fail_machine("ggml failed");
}

void GgmlAttention::FreeAllocator::operator()(ggml_gallocr* allocator) const { ggml_gallocr_free(allocator); }

GgmlAttention::GgmlAttention(const Layers& data, bool flash) {
  constexpr std::size_t kMostNodes = 12;  // views included
  const std::size_t n_nodes = kMostNodes * data.k.size();
  context_.reset(
      ggml_init({ggml_tensor_overhead() * n_nodes + ggml_graph_overhead_custom(n_nodes, false), nullptr, true}));
  graph_ = ggml_new_graph_custom(context_.get(), n_nodes, false);
  for (std::size_t index = 0; index < data.k.size(); ++index) {
    o_ = layer(data, index, flash);
    ggml_set_output(o_);
    ggml_build_forward_expand(graph_, o_);
  }
  allocator_.reset(ggml_gallocr_new(ggml_backend_cpu_buffer_type()));
  if (!ggml_gallocr_alloc_graph(allocator_.get(), graph_)) fail_machine("out of memory for ggml's attention");
}

ggml_tensor* GgmlAttention::layer(const Layers& data, std::size_t index, bool flash) {
  ggml_context* context = context_.get();
  const Shape& shape = data.shape();
  const auto by_head = [&](ggml_tensor* cache) {  // [head_dim, kv_len, n_kv_heads]
    ggml_tensor* view = ggml_view_3d(context, cache, shape.head_dim, shape.n_kv_heads, shape.kv_len,
                                     ggml_row_size(shape.type, shape.head_dim), cache->nb[1], 0);
    return ggml_permute(context, view, 0, 2, 1, 3);
  };
  ggml_tensor* q = ggml_permute(context, data.q, 0, 2, 1, 3);
  ggml_tensor* k = by_head(data.k[index]);
  if (flash) {
    ggml_tensor* o = ggml_flash_attn_ext(context, q, k, by_head(data.v[index]), data.mask_f16, shape.scale(), 0, 0);
    ggml_prec_set_acc(o, GGML_PREC_F32);
    return o;
  }
  ggml_tensor* scores = ggml_mul_mat(context, k, q);
  ggml_prec_set_acc(scores, GGML_PREC_F32);
  ggml_tensor* weights = ggml_soft_max_ext(context, scores, data.mask_f32, shape.scale(), 0);
  ggml_tensor* v = data.v_transposed[index];  // its rows are head by head
  v = ggml_view_3d(context, v, shape.kv_len, shape.head_dim, shape.n_kv_heads, v->nb[1],
                   v->nb[1] * static_cast<std::size_t>(shape.head_dim), 0);
  ggml_tensor* o = ggml_permute(context, ggml_mul_mat(context, v, weights), 0, 2, 1, 3);
  return ggml_cont_2d(context, o, shape.head_dim * shape.n_heads, shape.q_len);
}

void GgmlAttention::run(int n_threads) { ggml_compute(graph_, n_threads); }

std::span<float> GgmlAttention::o() const {
  return {static_cast<float*>(o_->data), static_cast<std::size_t>(ggml_nelements(o_))};
}

}  // namespace saccade::app
