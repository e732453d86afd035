#pragma once

#include <ggml-backend.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "apps/saccade/bench/layers.h"
#include "saccade/base/view.h"

namespace saccade::app {

/// Tokens times one matrix of a model; or, in a mixture of experts, each times some of many matrices.
struct MatrixShape {
  ggml_type type = GGML_TYPE_Q4_0;
  Pos dim = 0, n_rows = 0, n_tokens = 0;
  Pos n_experts = 0, n_used = 0;  ///< 0: no mixture

  std::string text() const;
  Pos n_matrices() const { return n_experts > 0 ? n_experts : 1; }
  Pos n_results() const { return n_tokens * (n_experts > 0 ? n_used : 1); }  ///< [n_rows] each
  double flop() const { return 2.0 * static_cast<double>(dim) * static_cast<double>(n_rows * n_results()); }
};

/// "896x4864": width and rows; "2048x768x32x2": of 32 experts, 2 for each token. Errors: Fault::kUser for other words,
/// sizes and types.
MatrixShape matrix_of(const std::string& matrix, const std::string& type);

/// Made-up weights as ggml quantises them, and tokens: bell-shaped numbers; the weights' first kDistinct rows again and
/// again, because quantising takes longer than all that is timed. Expert e begins with row e of them. Each token has
/// its own experts, drawn evenly.
class Matrix {
 public:
  static constexpr Pos kDistinct = 128;
  explicit Matrix(const MatrixShape& shape);

  const MatrixShape& shape() const { return shape_; }
  std::span<const std::byte> weights() const { return weights_; }
  std::span<const float> tokens() const { return tokens_; }
  /// [n_tokens, n_used]; empty: no mixture.
  std::span<const std::int32_t> experts() const { return experts_; }

  /// How far y [n_results, n_rows] is from fp64 on the decoded weights, relative, over some tokens and the first rows;
  /// NaN when any number is not finite.
  double error(std::span<const float> y) const;

 private:
  MatrixShape shape_;
  std::vector<std::byte> weights_;
  std::vector<float> tokens_, decoded_;  ///< decoded_: the distinct rows
  std::vector<double> exact_;            ///< [sampled token][distinct row]
  std::vector<Pos> sampled_;
  std::vector<std::int32_t> experts_;
};

/// ggml's own product, its weights on a buffer of a given type: plain, or one of those into which its CPU backend packs
/// weights anew.
class GgmlProduct {
 public:
  /// Null when ggml takes no such weights there. Errors: Fault::kMachine when memory runs out.
  static std::unique_ptr<GgmlProduct> make(const Matrix& matrix, ggml_backend_buffer_type_t buffer_type);
  void run(int n_threads);
  std::span<float> y() const;
  const ggml_tensor& weights() const { return *weights_; }
  const ggml_tensor& tokens() const { return *tokens_; }
  const ggml_tensor& node() const { return *y_; }

 private:
  GgmlProduct() = default;
  std::unique_ptr<ggml_context, FreeGgml> weights_context_, context_;
  std::unique_ptr<ggml_backend_buffer, FreeGgml> weights_buffer_, buffer_;
  ggml_tensor *weights_ = nullptr, *tokens_ = nullptr, *y_ = nullptr;
  ggml_cgraph* graph_ = nullptr;
};

/// Where ggml's CPU backend can keep weights besides plain memory ("CPU_REPACK", "AMX").
std::vector<ggml_backend_buffer_type_t> packing_buffer_types();

}  // namespace saccade::app
