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
  const std::string experts = n_experts > 0 ? fmt::format(" of {} experts, {} a token", n_experts, n_used) : "";
  return fmt::format("{} {}x{}{}, {} tokens", ggml_type_name(type), dim, n_rows, experts, n_tokens);
}

namespace {

/// "896x4864" as numbers; empty when it is none.
std::vector<Pos> sizes_of(const std::string& text) {
  constexpr Pos kMost = 1 << 24;
  std::vector<Pos> sizes;
  const char* const end = text.data() + text.size();
  for (const char* at = text.data();; ++at) {
    const auto [stop, error] = std::from_chars(at, end, sizes.emplace_back());
    if (error != std::errc() || sizes.back() < 1 || sizes.back() > kMost) return {};
    if (stop == end) return sizes;
    if (*stop != 'x') return {};
    at = stop;
  }
}

}  // namespace

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
  const std::vector<Pos> sizes = sizes_of(matrix);
  if (sizes.size() != 2 && (sizes.size() != 4 || sizes[3] > sizes[2])) {
    fail_user(
        fmt::format("--matrix must be width x rows, such as 896x4864, or width x rows x experts x experts in use, "
                    "got '{}'",
                    matrix));
  }
  shape.dim = sizes[0], shape.n_rows = sizes[1];
  if (sizes.size() == 4) shape.n_experts = sizes[2], shape.n_used = sizes[3];
  return shape;
}

Matrix::Matrix(const MatrixShape& shape) : shape_(shape) {
  Random random(1);
  const Pos distinct = std::min(shape.n_rows, kDistinct);
  std::vector<float> values;
  for (Pos i = 0; i < distinct * shape.dim; ++i) values.push_back(0.02F * random.normal());
  const std::size_t row = ggml_row_size(shape.type, shape.dim);
  weights_.resize(row * static_cast<std::size_t>(shape.n_rows * shape.n_matrices()));
  std::vector<std::byte> first(row * static_cast<std::size_t>(distinct));
  ggml_quantize_chunk(shape.type, values.data(), first.data(), 0, distinct, shape.dim, nullptr);
  for (Pos e = 0; e < shape.n_matrices(); ++e) {
    for (Pos r = 0; r < shape.n_rows; ++r)
      std::memcpy(&weights_[static_cast<std::size_t>(e * shape.n_rows + r) * row],
                  &first[static_cast<std::size_t>((e + r) % distinct) * row], row);
  }
  decoded_.resize(values.size());
  ggml_get_type_traits(shape.type)->to_float(first.data(), decoded_.data(), distinct * shape.dim);
  for (Pos i = 0; i < shape.n_tokens * shape.dim; ++i) tokens_.push_back(random.normal());
  for (Pos result = 0; shape.n_experts > 0 && result < shape.n_results(); ++result) {
    const auto mine = experts_.end() - result % shape.n_used;  // a token has no expert twice
    std::int32_t drawn = 0;
    do drawn = static_cast<std::int32_t>(random.between(0, shape.n_experts - 1));
    while (std::find(mine, experts_.end(), drawn) != experts_.end());
    experts_.push_back(drawn);
  }

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
  const Pos per_token = shape_.n_results() / shape_.n_tokens;
  for (std::size_t i = 0; i < sampled_.size(); ++i) {
    for (Pos result = sampled_[i] * per_token; result < (sampled_[i] + 1) * per_token; ++result) {
      const Pos expert = experts_.empty() ? 0 : experts_[static_cast<std::size_t>(result)];
      for (Pos r = 0; r < distinct; ++r) {
        // Every repetition of the row must be right: the last one is looked at.
        const Pos last = r + (shape_.n_rows - 1 - r) / distinct * distinct;
        const double exact =
            exact_[i * static_cast<std::size_t>(distinct) + static_cast<std::size_t>((expert + r) % distinct)];
        squares += std::pow(y[static_cast<std::size_t>(result * shape_.n_rows + last)] - exact, 2);
        all += exact * exact;
      }
    }
  }
  return std::sqrt(squares / all);
}

std::unique_ptr<GgmlProduct> GgmlProduct::make(const Matrix& matrix, ggml_backend_buffer_type_t buffer_type) {
  const MatrixShape& shape = matrix.shape();
  std::unique_ptr<GgmlProduct> made(new GgmlProduct);
  made->weights_context_.reset(ggml_init({ggml_tensor_overhead() * 2, nullptr, true}));
  made->context_.reset(ggml_init({ggml_tensor_overhead() * 5 + ggml_graph_overhead(), nullptr, true}));
  ggml_context* const context = made->context_.get();
  made->weights_ =
      ggml_new_tensor_3d(made->weights_context_.get(), shape.type, shape.dim, shape.n_rows, shape.n_matrices());
  ggml_tensor* experts = nullptr;
  if (shape.n_experts > 0) {
    made->tokens_ = ggml_new_tensor_3d(context, GGML_TYPE_F32, shape.dim, 1, shape.n_tokens);
    experts = ggml_new_tensor_2d(context, GGML_TYPE_I32, shape.n_used, shape.n_tokens);
    made->y_ = ggml_mul_mat_id(context, made->weights_, made->tokens_, experts);
  } else {
    made->tokens_ = ggml_new_tensor_2d(context, GGML_TYPE_F32, shape.dim, shape.n_tokens);
    made->y_ = ggml_mul_mat(context, made->weights_, made->tokens_);
  }
  made->graph_ = ggml_new_graph(made->context_.get());
  ggml_build_forward_expand(made->graph_, made->y_);
  made->weights_buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(made->weights_context_.get(), buffer_type));
  made->buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(made->context_.get(), ggml_backend_cpu_buffer_type()));
  if (!made->weights_buffer_ || !made->buffer_) fail_machine(fmt::format("out of memory for {}", shape.text()));
  ggml_backend_buffer_set_usage(made->weights_buffer_.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
  if (!ggml_backend_supports_op(ggml_cpu(), made->y_)) return nullptr;
  ggml_backend_tensor_set(made->weights_, matrix.weights().data(), 0, matrix.weights().size());
  ggml_backend_tensor_set(made->tokens_, matrix.tokens().data(), 0, matrix.tokens().size_bytes());
  if (experts != nullptr) ggml_backend_tensor_set(experts, matrix.experts().data(), 0, matrix.experts().size_bytes());
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
