#include "tests/plugin/prompt.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>

#include "tests/support/dtype.h"
#include "tests/support/random.h"

namespace saccade::testing {
namespace {

float scale_of(const Prompt::Shape& shape) { return 1.0F / std::sqrt(static_cast<float>(shape.head_dim)); }

/// [dim, slots, heads] of a cache of [heads * dim, slots], permuted as llama.cpp does.
ggml_tensor* of_cache(ggml_context* context, ggml_tensor* cache, Pos dim, Pos n_heads, Pos n_slots) {
  ggml_tensor* view =
      ggml_view_3d(context, cache, dim, n_heads, n_slots, ggml_row_size(cache->type, dim), cache->nb[1], 0);
  return ggml_permute(context, view, 0, 2, 1, 3);
}

}  // namespace

Prompt::Prompt(const Shape& shape, std::uint64_t seed) : shape_(shape) {
  context_ = ggml_init({ggml_tensor_overhead() * 4, nullptr, true});
  k_ = ggml_new_tensor_2d(context_, GGML_TYPE_F16, shape.n_kv_heads * shape.head_dim, shape.n_slots);
  v_ = ggml_new_tensor_2d(context_, GGML_TYPE_F16, shape.n_kv_heads * shape.head_dim, shape.n_slots);
  buffer_ = ggml_backend_alloc_ctx_tensors_from_buft(context_, ggml_backend_cpu_buffer_type());
  for (Pos head = 0; head < shape.n_heads; ++head) {
    kv_head_.push_back(static_cast<int>(head * shape.n_kv_heads / shape.n_heads));
  }
  refill(seed);
}

Prompt::~Prompt() {
  ggml_backend_buffer_free(buffer_);
  ggml_free(context_);
}

void Prompt::refill(std::uint64_t seed) {
  Random random(seed);
  q_.resize(static_cast<std::size_t>(shape_.n_slots * shape_.n_heads * shape_.head_dim));
  for (float& x : q_) x = shape_.gain * random.normal();
  for (ggml_tensor* cache : {k_, v_}) {
    auto* numbers = static_cast<std::uint16_t*>(cache->data);
    for (Pos i = 0; i < ggml_nelements(cache); ++i) numbers[i] = encode_f16(random.normal());
  }
}

void Prompt::look_at(Range queries, Pos k_pos) {
  const Pos dim = shape_.head_dim;
  std::vector<float> key(static_cast<std::size_t>(dim));
  for (Pos head = 0; head < shape_.n_heads; ++head) {
    const Pos kv_head = kv_head_[static_cast<std::size_t>(head)];
    const auto* row = static_cast<const std::uint16_t*>(k_->data) + (k_pos * shape_.n_kv_heads + kv_head) * dim;
    ggml_get_type_traits(GGML_TYPE_F16)->to_float(row, key.data(), dim);
    for (Pos i = queries.begin; i < queries.end; ++i) {
      for (Pos c = 0; c < dim; ++c) {
        q_[static_cast<std::size_t>((i * shape_.n_heads + head) * dim + c)] = 4.0F * key[static_cast<std::size_t>(c)];
      }
    }
  }
}

std::vector<float> Prompt::run(ggml_backend_t backend, Range queries) const {
  const Pos n = queries.size(), n_kv = (queries.end + 255) / 256 * 256;
  ggml_context* context = ggml_init({ggml_tensor_overhead() * 16 + ggml_graph_overhead(), nullptr, true});
  ggml_tensor* q_rows = ggml_new_tensor_3d(context, GGML_TYPE_F32, shape_.head_dim, shape_.n_heads, n);
  ggml_tensor* q = ggml_permute(context, q_rows, 0, 2, 1, 3);
  ggml_set_name(q, ("Qcur-" + std::to_string(shape_.layer) + " (permuted)").c_str());
  ggml_tensor* mask = ggml_new_tensor_2d(context, GGML_TYPE_F16, n_kv, n);
  ggml_tensor* node = ggml_flash_attn_ext(context, q, of_cache(context, k_, shape_.head_dim, shape_.n_kv_heads, n_kv),
                                          of_cache(context, v_, shape_.head_dim, shape_.n_kv_heads, n_kv), mask,
                                          scale_of(shape_), 0.0F, 0.0F);
  ggml_cgraph* graph = ggml_new_graph(context);
  ggml_build_forward_expand(graph, node);
  const ggml_backend_buffer_t buffer =
      ggml_backend_alloc_ctx_tensors_from_buft(context, ggml_backend_cpu_buffer_type());
  std::memcpy(q_rows->data, q_.data() + queries.begin * shape_.n_heads * shape_.head_dim, ggml_nbytes(q_rows));
  for (Pos i = 0; i < n; ++i) {
    auto* row = static_cast<std::uint16_t*>(mask->data) + i * n_kv;
    for (Pos j = 0; j < n_kv; ++j) {
      row[j] = encode_f16(j <= queries.begin + i ? 0.0F : -std::numeric_limits<float>::infinity());
    }
  }
  std::memset(node->data, 0xFF, ggml_nbytes(node));
  const ggml_status status = ggml_backend_graph_compute(backend, graph);
  std::vector<float> o(static_cast<std::size_t>(ggml_nelements(node)));
  std::memcpy(o.data(), node->data, ggml_nbytes(node));
  ggml_backend_buffer_free(buffer);
  ggml_free(context);
  if (status != GGML_STATUS_SUCCESS) throw std::runtime_error("the batch was not computed");
  return o;
}

SelectCall Prompt::call(Range queries, std::span<const int> heads, Team& team) const {
  const Pos dim = shape_.head_dim;
  return {.q = {q_.data() + queries.begin * shape_.n_heads * dim, DType::f32, queries.size(), shape_.n_heads, dim,
                shape_.n_heads * dim * 4, dim * 4},
          .k = {k_->data, DType::f16, queries.end, shape_.n_kv_heads, dim, shape_.n_kv_heads * dim * 2, dim * 2},
          .v = {v_->data, DType::f16, queries.end, shape_.n_kv_heads, dim, shape_.n_kv_heads * dim * 2, dim * 2},
          .kv_head = kv_head_,
          .heads = heads,
          .q_begin = queries.begin,
          .scale = scale_of(shape_),
          .layer = shape_.layer,
          .team = &team};
}

oracle::Inputs Prompt::inputs(Range queries) const {
  oracle::Inputs in;
  in.q_len = queries.size();
  in.kv_len = queries.end;
  in.n_heads = shape_.n_heads;
  in.n_kv_heads = shape_.n_kv_heads;
  in.head_dim = shape_.head_dim;
  in.kv_head = kv_head_;
  in.scale = scale_of(shape_);
  in.q_begin = queries.begin;
  const Pos q_row = shape_.n_heads * shape_.head_dim, k_row = shape_.n_kv_heads * shape_.head_dim;
  in.q.assign(q_.begin() + queries.begin * q_row, q_.begin() + queries.end * q_row);
  for (const auto& [cache, out] : {std::pair{k_, &in.k}, std::pair{v_, &in.v}}) {
    out->resize(static_cast<std::size_t>(queries.end * k_row));
    ggml_get_type_traits(GGML_TYPE_F16)->to_float(cache->data, out->data(), queries.end * k_row);
  }
  return in;
}

}  // namespace saccade::testing
