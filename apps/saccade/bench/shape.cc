#include "apps/saccade/bench/shape.h"

#include <fmt/format.h>

#include <cmath>
#include <string_view>
#include <vector>

#include "plugins/llama/support.h"
#include "saccade/attend/attend.h"
#include "saccade/base/error.h"
#include "saccade/kernel/visit.h"
#include "saccade/plan/nearest.h"

namespace saccade::app {

float Shape::scale() const { return 1.0F / std::sqrt(static_cast<float>(head_dim)); }

double Shape::pairs() const { return static_cast<double>(dense_pairs(q_begin(), q_len, kv_len, n_heads)); }

std::size_t Shape::kv_bytes() const {
  return 2 * static_cast<std::size_t>(kv_len) * ggml_row_size(type, head_dim * n_kv_heads);
}

std::string Shape::text() const {
  return fmt::format("head_dim {}, {} queries, {} keys in {}, {}/{} heads", head_dim, q_len, kv_len,
                     ggml_type_name(type), n_heads, n_kv_heads);
}

ggml_type kv_type(const std::string& word) {
  std::vector<std::string_view> known;
  for (int i = 0; i < GGML_TYPE_COUNT; ++i) {
    const auto type = static_cast<ggml_type>(i);
    if (!llama::dtype_of(type)) continue;
    known.emplace_back(ggml_type_name(type));
    if (known.back() == word) return type;
  }
  fail_user(fmt::format("--type: '{}' is no type of keys and values here; {}", word, suggest(word, known)));
}

bool has_plain_path(ggml_type type) { return !ggml_is_quantized(type); }

void check(const Shape& shape) {
  const auto dtype = *llama::dtype_of(shape.type);
  if (!can_attend(DType::f32, dtype, dtype, shape.head_dim, shape.head_dim))
    fail_user(fmt::format("--head-dim must be a multiple of {} from 32 to {} with keys in {}, got {}",
                          ggml_is_quantized(shape.type) ? 32 : 8, kernel::kMaxHeadDim, ggml_type_name(shape.type),
                          shape.head_dim));
  if (shape.n_kv_heads > shape.n_heads || shape.n_heads % shape.n_kv_heads != 0)
    fail_user(fmt::format("--heads must be a multiple of --kv-heads, got {} and {}", shape.n_heads, shape.n_kv_heads));
  if (shape.q_len > shape.kv_len)
    fail_user(fmt::format("--kv must be >= {}, the number of queries, got {}", shape.q_len, shape.kv_len));
}

}  // namespace saccade::app
