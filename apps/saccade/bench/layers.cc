#include "apps/saccade/bench/layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <limits>

#include "plugins/llama/support.h"
#include "saccade/base/error.h"
#include "saccade/base/random.h"

namespace saccade::app {
namespace {

constexpr std::uint64_t kSeed = 1;
constexpr float kScoreDeviation = 3.0F;
constexpr float kHide = -std::numeric_limits<float>::infinity();

std::byte* row_of(const ggml_tensor& tensor, Pos i) {
  return static_cast<std::byte*>(tensor.data) + i * static_cast<std::ptrdiff_t>(tensor.nb[1]);
}

void fill_normal(ggml_tensor& tensor, Random& random, float gain) {
  std::vector<float> values(static_cast<std::size_t>(tensor.ne[0]));
  for (Pos i = 0; i < ggml_nrows(&tensor); ++i) {
    for (float& x : values) x = gain * random.normal();
    ggml_quantize_chunk(tensor.type, values.data(), row_of(tensor, i), 0, 1, tensor.ne[0], nullptr);
  }
}

/// Element by element; only for types without blocks.
void transpose(const ggml_tensor& from, ggml_tensor& to) {
  const std::size_t size = ggml_type_size(from.type);
  for (Pos c = 0; c < from.ne[0]; ++c) {
    std::byte* out = row_of(to, c);
    for (Pos j = 0; j < from.ne[1]; ++j)
      std::memcpy(out + static_cast<std::size_t>(j) * size, row_of(from, j) + static_cast<std::size_t>(c) * size, size);
  }
}

void decode_row(const ggml_tensor& tensor, const std::byte* row, std::vector<float>& out, Pos dim) {
  const std::size_t at = out.size();
  out.resize(at + static_cast<std::size_t>(dim));
  if (tensor.type == GGML_TYPE_F32)
    std::memcpy(out.data() + at, row, static_cast<std::size_t>(dim) * sizeof(float));
  else
    ggml_get_type_traits(tensor.type)->to_float(row, out.data() + at, dim);
}

double available_bytes() {
  std::ifstream info("/proc/meminfo");
  for (std::string word; info >> word;) {
    double kib = 0;
    if (word == "MemAvailable:" && info >> kib) return kib * 1024;
  }
  return std::numeric_limits<double>::infinity();  // unknown: the allocation itself will tell
}

}  // namespace

double bench_bytes(const Shape& shape, bool with_plain) {
  const auto layers = static_cast<double>(shape.n_layers) * static_cast<double>(shape.kv_bytes());
  const auto pairs = static_cast<double>(shape.q_len) * static_cast<double>(shape.kv_len);
  // Without flash attention: values once more, a mask in f32, all scores, and queries and weights once more in the
  // type of keys and values.
  const double plain = layers / 2 + pairs * 4 + static_cast<double>(shape.n_heads) * pairs * 6;
  // And the rows that are judged (law.h): four, keys and values in f32.
  const double judged = 4.0 * 2 * sizeof(float) * static_cast<double>(shape.kv_len * shape.head_dim);
  return layers + pairs * 2 + judged + (with_plain ? plain : 0);
}

void check_memory(double bytes, const std::string& what) {
  constexpr double kGiB = 1024.0 * 1024 * 1024;
  const double free = available_bytes();
  if (bytes > 0.9 * free)
    fail_machine(fmt::format("{} takes {:.1f} GiB, {:.1f} GiB of memory are free", what, bytes / kGiB, free / kGiB));
}

Layers::Layers(const Shape& shape, bool with_plain) : shape_(shape), with_plain_(with_plain) {
  check_memory(bench_bytes(shape, with_plain), shape.text());
  const auto n_tensors = static_cast<std::size_t>(3 * shape.n_layers + 3);
  context_.reset(ggml_init({ggml_tensor_overhead() * n_tensors, nullptr, true}));
  q = ggml_new_tensor_3d(context_.get(), GGML_TYPE_F32, shape.head_dim, shape.n_heads, shape.q_len);
  mask_f16 = ggml_new_tensor_2d(context_.get(), GGML_TYPE_F16, shape.kv_len, shape.q_len);
  if (with_plain) mask_f32 = ggml_new_tensor_2d(context_.get(), GGML_TYPE_F32, shape.kv_len, shape.q_len);
  const Pos width = shape.head_dim * shape.n_kv_heads;
  for (Pos layer = 0; layer < shape.n_layers; ++layer) {
    k.push_back(ggml_new_tensor_2d(context_.get(), shape.type, width, shape.kv_len));
    v.push_back(ggml_new_tensor_2d(context_.get(), shape.type, width, shape.kv_len));
    if (with_plain) v_transposed.push_back(ggml_new_tensor_2d(context_.get(), shape.type, shape.kv_len, width));
  }
  buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(context_.get(), ggml_backend_cpu_buffer_type()));
  if (!buffer_) fail_machine(fmt::format("out of memory: {}", shape.text()));
  fill();
  fill_masks();
}

void Layers::fill() {
  Random random(kSeed);
  fill_normal(*q, random, kScoreDeviation);
  fill_normal(*k[0], random, 1.0F);
  fill_normal(*v[0], random, 1.0F);
  if (with_plain_) transpose(*v[0], *v_transposed[0]);
  for (std::size_t layer = 1; layer < k.size(); ++layer) {
    std::memcpy(k[layer]->data, k[0]->data, ggml_nbytes(k[0]));
    std::memcpy(v[layer]->data, v[0]->data, ggml_nbytes(v[0]));
    if (with_plain_) std::memcpy(v_transposed[layer]->data, v_transposed[0]->data, ggml_nbytes(v_transposed[0]));
  }
}

void Layers::fill_masks() {
  std::vector<float> row(static_cast<std::size_t>(shape_.kv_len));
  for (Pos i = 0; i < shape_.q_len; ++i) {
    for (Pos j = 0; j < shape_.kv_len; ++j) row[static_cast<std::size_t>(j)] = j <= shape_.q_begin() + i ? 0 : kHide;
    ggml_fp32_to_fp16_row(row.data(), reinterpret_cast<ggml_fp16_t*>(row_of(*mask_f16, i)), shape_.kv_len);
    if (with_plain_) std::memcpy(row_of(*mask_f32, i), row.data(), row.size() * sizeof(float));
  }
}

View Layers::q_view() const {
  return {q->data,
          DType::f32,
          shape_.q_len,
          shape_.n_heads,
          shape_.head_dim,
          static_cast<std::ptrdiff_t>(q->nb[2]),
          static_cast<std::ptrdiff_t>(q->nb[1])};
}

View Layers::kv_view(const ggml_tensor& tensor) const {
  return {tensor.data,
          *llama::dtype_of(shape_.type),
          shape_.kv_len,
          shape_.n_kv_heads,
          shape_.head_dim,
          static_cast<std::ptrdiff_t>(tensor.nb[1]),
          static_cast<std::ptrdiff_t>(ggml_row_size(shape_.type, shape_.head_dim))};
}

std::vector<std::span<const std::byte>> Layers::kv_bytes() const {
  std::vector<std::span<const std::byte>> pieces;
  for (std::size_t layer = 0; layer < k.size(); ++layer)
    for (const ggml_tensor* tensor : {k[layer], v[layer]})
      pieces.emplace_back(static_cast<const std::byte*>(tensor->data), ggml_nbytes(tensor));
  return pieces;
}

oracle::Inputs Layers::row_inputs(Pos i, Pos head) const {
  oracle::Inputs in;
  in.q_len = in.n_heads = in.n_kv_heads = 1;
  in.kv_len = shape_.q_begin() + i + 1;
  in.head_dim = shape_.head_dim;
  in.kv_head = {0};
  in.scale = shape_.scale();
  in.q_begin = shape_.q_begin() + i;
  const Pos kv_head = head * shape_.n_kv_heads / shape_.n_heads;
  decode_row(*q, q_view().row(i, head), in.q, shape_.head_dim);
  for (Pos j = 0; j < in.kv_len; ++j) {
    decode_row(*k[0], k_view(0).row(j, kv_head), in.k, shape_.head_dim);
    decode_row(*v[0], v_view(0).row(j, kv_head), in.v, shape_.head_dim);
  }
  return in;
}

}  // namespace saccade::app
