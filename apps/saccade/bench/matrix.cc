#include "apps/saccade/bench/matrix.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include "apps/saccade/bench/peers.h"
#include "plugins/llama/linear_node.h"
#include "saccade/base/error.h"
#include "saccade/base/random.h"
#include "saccade/plan/nearest.h"

namespace saccade::app {

std::string MatrixShape::text() const {
  return fmt::format("{} {}x{}, {} tokens", ggml_type_name(type), dim, n_rows, n_tokens);
}

MatrixShape matrix_of(const std::string& matrix, const std::string& type) {
  MatrixShape shape{.type = GGML_TYPE_COUNT};
  std::vector<std::string_view> known;
  for (int i = 0; i < GGML_TYPE_COUNT; ++i) {
    const auto one = static_cast<ggml_type>(i);
    if (!llama::param_format_of(one)) continue;
    known.emplace_back(ggml_type_name(one));
    if (known.back() == type) shape.type = one;
  }
  if (shape.type == GGML_TYPE_COUNT)
    fail_user(fmt::format("--type: '{}' is no type of matrices here; {}", type, suggest(type, known)));
  const char* end = matrix.data() + matrix.size();
  const auto [cross, first_error] = std::from_chars(matrix.data(), end, shape.dim);
  const bool has_cross = first_error == std::errc() && cross != end && *cross == 'x';
  const auto [stop, second_error] = std::from_chars(has_cross ? cross + 1 : end, end, shape.n_rows);
  constexpr Pos kMost = 1 << 24;
  if (!has_cross || second_error != std::errc() || stop != end || shape.dim < 1 || shape.n_rows < 1 ||
      shape.dim > kMost || shape.n_rows > kMost) {
    fail_user(fmt::format("--matrix must be width x rows, such as 896x4864, got '{}'", matrix));
  }
  return shape;
}

Matrix::Matrix(const MatrixShape& shape) : shape_(shape) {
  Random random(1);
  const Pos distinct = std::min(shape.n_rows, kDistinct);
  std::vector<float> values;
  for (Pos i = 0; i < distinct * shape.dim; ++i) values.push_back(0.02F * random.normal());
  const std::size_t row = ggml_row_size(shape.type, shape.dim);
  weights_.resize(row * static_cast<std::size_t>(shape.n_rows));
  ggml_quantize_chunk(shape.type, values.data(), weights_.data(), 0, distinct, shape.dim, nullptr);
  for (Pos r = distinct; r < shape.n_rows; ++r)
    std::memcpy(&weights_[static_cast<std::size_t>(r) * row], &weights_[static_cast<std::size_t>(r % distinct) * row],
                row);
  decoded_.resize(values.size());
  ggml_get_type_traits(shape.type)->to_float(weights_.data(), decoded_.data(), distinct * shape.dim);
  for (Pos i = 0; i < shape.n_tokens * shape.dim; ++i) tokens_.push_back(random.normal());

  for (int i = 0; i < 4; ++i) sampled_.push_back(random.between(0, shape.n_tokens - 1));
  for (const Pos t : sampled_) {
    for (Pos r = 0; r < distinct; ++r) {
      double sum = 0;
      for (Pos d = 0; d < shape.dim; ++d)
        sum += double{tokens_[static_cast<std::size_t>(t * shape.dim + d)]} *
               double{decoded_[static_cast<std::size_t>(r * shape.dim + d)]};
      exact_.push_back(sum);
    }
  }
}

double Matrix::error(std::span<const float> y) const {
  if (!std::ranges::all_of(y, [](float value) { return std::isfinite(value); }))
    return std::numeric_limits<double>::quiet_NaN();
  const Pos distinct = std::min(shape_.n_rows, kDistinct);
  double squares = 0, all = 0;
  auto exact = exact_.begin();
  for (const Pos t : sampled_) {
    for (Pos r = 0; r < distinct; ++r, ++exact) {
      // Every repetition of the row must be right: the last one is looked at.
      const Pos last = r + (shape_.n_rows - 1 - r) / distinct * distinct;
      squares += std::pow(y[static_cast<std::size_t>(t * shape_.n_rows + last)] - *exact, 2);
      all += *exact * *exact;
    }
  }
  return std::sqrt(squares / all);
}

std::unique_ptr<GgmlProduct> GgmlProduct::make(const Matrix& matrix, ggml_backend_buffer_type_t buffer_type) {
  const MatrixShape& shape = matrix.shape();
  std::unique_ptr<GgmlProduct> made(new GgmlProduct);
  made->weights_context_.reset(ggml_init({ggml_tensor_overhead() * 2, nullptr, true}));
  made->context_.reset(ggml_init({ggml_tensor_overhead() * 4 + ggml_graph_overhead(), nullptr, true}));
  made->weights_ = ggml_new_tensor_2d(made->weights_context_.get(), shape.type, shape.dim, shape.n_rows);
  made->tokens_ = ggml_new_tensor_2d(made->context_.get(), GGML_TYPE_F32, shape.dim, shape.n_tokens);
  made->y_ = ggml_mul_mat(made->context_.get(), made->weights_, made->tokens_);
  made->graph_ = ggml_new_graph(made->context_.get());
  ggml_build_forward_expand(made->graph_, made->y_);
  made->weights_buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(made->weights_context_.get(), buffer_type));
  made->buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(made->context_.get(), ggml_backend_cpu_buffer_type()));
  if (!made->weights_buffer_ || !made->buffer_) fail_machine(fmt::format("out of memory for {}", shape.text()));
  ggml_backend_buffer_set_usage(made->weights_buffer_.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
  if (!ggml_backend_supports_op(ggml_cpu(), made->y_)) return nullptr;
  ggml_backend_tensor_set(made->weights_, matrix.weights().data(), 0, matrix.weights().size());
  ggml_backend_tensor_set(made->tokens_, matrix.tokens().data(), 0, matrix.tokens().size_bytes());
  return made;
}

void GgmlProduct::run(int n_threads) { ggml_compute(graph_, n_threads); }

std::span<float> GgmlProduct::y() const {
  return {static_cast<float*>(y_->data), static_cast<std::size_t>(ggml_nelements(y_))};
}

std::vector<ggml_backend_buffer_type_t> packing_buffer_types() {
  ggml_backend_dev_t device = ggml_backend_get_device(ggml_cpu());
  const auto extra = reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(
      ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), "ggml_backend_dev_get_extra_bufts"));
  std::vector<ggml_backend_buffer_type_t> types;
  ggml_backend_buffer_type_t* type = extra == nullptr ? nullptr : extra(device);
  for (; type != nullptr && *type != nullptr; ++type) types.push_back(*type);
  return types;
}

}  // namespace saccade::app
