// MUL_MAT and MUL_MAT_ID in our backend: what it claims, and that it gives what linear() gives wherever ggml keeps the
// weights.

#include "saccade/linear/linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>

#include "ggml-backend.h"
#include "plugins/llama/backend.h"
#include "saccade/linear/few.h"
#include "tests/linear/linear_case.h"
#include "tests/plugin/attention_case.h"
#include "tests/support/random.h"

namespace saccade::testing {
namespace {

ggml_backend_t ours(LinearLayers linear = LinearLayers::kAuto) {
  ggml_backend_t backend = our_backend("dense", 2);
  llama::use_plan(std::make_shared<const Plan>(Plan::from_spec("dense").with_linear(linear)));
  return backend;
}

/// One or two matrices of a model and a graph that multiplies tokens by them.
class Products {
 public:
  struct Shape {
    ggml_type type = GGML_TYPE_Q4_0;
    Pos dim = 512, n_rows = 72, n_tokens = 100;
    int n_matrices = 1;
    ggml_backend_buffer_type_t buffer_type = ggml_backend_cpu_buffer_type();
    ggml_backend_buffer_usage usage = GGML_BACKEND_BUFFER_USAGE_WEIGHTS;
  };

  explicit Products(const Shape& shape) {
    weights_ = ggml_init({ggml_tensor_overhead() * 4, nullptr, true});
    rest_ = ggml_init({ggml_tensor_overhead() * 16 + ggml_graph_overhead(), nullptr, true});
    graph_ = ggml_new_graph(rest_);
    x_ = ggml_new_tensor_2d(rest_, GGML_TYPE_F32, shape.dim, shape.n_tokens);
    for (int i = 0; i < shape.n_matrices; ++i) {
      matrices_.push_back(ggml_new_tensor_2d(weights_, shape.type, shape.dim, shape.n_rows));
      nodes_.push_back(ggml_mul_mat(rest_, matrices_.back(), x_));
      ggml_build_forward_expand(graph_, nodes_.back());
    }
    weights_buffer_ = ggml_backend_alloc_ctx_tensors_from_buft(weights_, shape.buffer_type);
    ggml_backend_buffer_set_usage(weights_buffer_, shape.usage);
    rest_buffer_ = ggml_backend_alloc_ctx_tensors_from_buft(rest_, ggml_backend_cpu_buffer_type());
    Random random(1);
    const auto draw = [&](ggml_tensor* tensor, float gain) {
      std::vector<float> values;
      for (Pos i = 0; i < ggml_nelements(tensor); ++i) values.push_back(gain * random.normal());
      std::vector<std::byte> stored(ggml_nbytes(tensor));
      ggml_quantize_chunk(tensor->type, values.data(), stored.data(), 0, tensor->ne[1], tensor->ne[0], nullptr);
      ggml_backend_tensor_set(tensor, stored.data(), 0, stored.size());
    };
    draw(x_, 1.0F);
    for (ggml_tensor* matrix : matrices_) draw(matrix, 0.02F);
  }
  ~Products() {
    ggml_backend_buffer_free(weights_buffer_);
    ggml_backend_buffer_free(rest_buffer_);
    ggml_free(weights_);
    ggml_free(rest_);
  }
  Products(const Products&) = delete;
  Products& operator=(const Products&) = delete;

  ggml_tensor* node(int i = 0) const { return nodes_[static_cast<std::size_t>(i)]; }
  ggml_tensor* x() const { return x_; }
  ggml_tensor* matrix(int i = 0) const { return matrices_[static_cast<std::size_t>(i)]; }
  ggml_cgraph* graph() const { return graph_; }

  /// Fills the results with NaN, computes, and returns them one matrix after the other.
  std::vector<float> run(ggml_backend_t backend) const {
    for (ggml_tensor* node : nodes_) std::memset(node->data, 0xFF, ggml_nbytes(node));
    EXPECT_EQ(ggml_backend_graph_compute(backend, graph_), GGML_STATUS_SUCCESS);
    return results();
  }
  std::vector<float> results() const {
    std::vector<float> out;
    for (ggml_tensor* node : nodes_) {
      const auto* y = static_cast<const float*>(node->data);
      out.insert(out.end(), y, y + ggml_nelements(node));
    }
    return out;
  }

 private:
  ggml_context *weights_ = nullptr, *rest_ = nullptr;
  ggml_cgraph* graph_ = nullptr;
  ggml_tensor* x_ = nullptr;
  std::vector<ggml_tensor*> matrices_, nodes_;
  ggml_backend_buffer_t weights_buffer_ = nullptr, rest_buffer_ = nullptr;
};

using Shape = Products::Shape;

class PluginLinear : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!can_multiply(ParamFormat::q4_0, 256)) GTEST_SKIP() << "this CPU has no AVX-512 VNNI";
  }
};

/// On the matrix unit K-quants pay as soon as other types do.
bool in_tiles() { return linear_precision() == Precision::kBf16; }

bool claims(const Shape& shape, LinearLayers linear = LinearLayers::kAuto) {
  const Products products(shape);
  return ggml_backend_supports_op(ours(linear), products.node());
}

TEST_F(PluginLinear, ClaimsAPromptsProductsAndNothingElse) {
  for (const ggml_type type : {GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q5_1, GGML_TYPE_Q8_0,
                               GGML_TYPE_Q4_K, GGML_TYPE_Q5_K, GGML_TYPE_Q6_K, GGML_TYPE_F16, GGML_TYPE_BF16}) {
    EXPECT_TRUE(claims({.type = type})) << ggml_type_name(type);
    EXPECT_FALSE(claims({.type = type}, LinearLayers::kGgml)) << ggml_type_name(type);
    EXPECT_FALSE(claims({.type = type, .usage = GGML_BACKEND_BUFFER_USAGE_ANY})) << ggml_type_name(type);
  }
  EXPECT_FALSE(claims({.type = GGML_TYPE_F32}));
  EXPECT_FALSE(claims({.type = GGML_TYPE_IQ4_NL}));
  EXPECT_FALSE(claims({.type = GGML_TYPE_Q3_K}));
  EXPECT_FALSE(claims({.type = GGML_TYPE_F16, .n_tokens = 31}));
  EXPECT_TRUE(claims({.type = GGML_TYPE_F16, .n_tokens = 32}));
  const Pos k = in_tiles() ? 32 : 96;
  EXPECT_FALSE(claims({.type = GGML_TYPE_Q6_K, .n_tokens = k - 1}));
  EXPECT_TRUE(claims({.type = GGML_TYPE_Q6_K, .n_tokens = k}));
}

TEST_F(PluginLinear, ClaimsFewTokensWhereGgmlIsSlower) {
  struct Row {
    ggml_type type;
    Pos least, most;
  };
  for (const auto& [type, least, most] :
       {Row{GGML_TYPE_Q4_0, 1, 31}, Row{GGML_TYPE_Q4_1, 1, 31}, Row{GGML_TYPE_Q5_0, 1, 31}, Row{GGML_TYPE_Q5_1, 1, 31},
        Row{GGML_TYPE_Q8_0, 1, 31}, Row{GGML_TYPE_Q6_K, 2, 20}, Row{GGML_TYPE_Q5_K, 2, 8}, Row{GGML_TYPE_Q4_K, 2, 8}}) {
    EXPECT_TRUE(claims({.type = type, .n_tokens = least})) << ggml_type_name(type);
    EXPECT_TRUE(claims({.type = type, .n_tokens = most})) << ggml_type_name(type);
    if (least > 1) EXPECT_FALSE(claims({.type = type, .n_tokens = least - 1})) << ggml_type_name(type);
    if (most < 31) EXPECT_FALSE(claims({.type = type, .n_tokens = most + 1})) << ggml_type_name(type);
    EXPECT_FALSE(claims({.type = type, .n_tokens = least}, LinearLayers::kGgml)) << ggml_type_name(type);
  }
  for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_IQ4_NL})
    EXPECT_FALSE(claims({.type = type, .n_tokens = 4})) << ggml_type_name(type);
  for (const ggml_type type : {GGML_TYPE_Q4_0, GGML_TYPE_Q4_K})
    EXPECT_FALSE(claims({.type = type, .n_tokens = 4, .buffer_type = repack_buffer_type()})) << "ggml's own are fast";
}

TEST_F(PluginLinear, FewTokensGetWhatLinearFewGives) {
  for (const Pos n_tokens : {2, 31}) {
    const Products products({.type = GGML_TYPE_Q8_0, .n_tokens = n_tokens, .n_matrices = 2});
    std::vector<float> first(static_cast<std::size_t>(72 * n_tokens)), second = first;
    const ParamView params{products.matrix(0)->data, ParamFormat::q8_0, 72, 512, param_bytes(ParamFormat::q8_0, 512)};
    LinearProduct direct[] = {{params, first.data(), 72}, {params, second.data(), 72}};
    direct[1].params.data = products.matrix(1)->data;
    LinearWorkspace workspace;
    Alone alone;
    linear_few({static_cast<const float*>(products.x()->data), 512, n_tokens, 512, direct}, alone, workspace);
    llama::reset_record();
    first.insert(first.end(), second.begin(), second.end());
    EXPECT_EQ(products.run(ours()), first);
    EXPECT_EQ(llama::record().linear_calls, 2);
    EXPECT_EQ(llama::record().linear_bf16, 0);
  }
}

TEST_F(PluginLinear, DeclinesWhatIsNoPlainMatrix) {
  const Products products({.type = GGML_TYPE_F16});
  ggml_context* context = ggml_init({ggml_tensor_overhead() * 8, nullptr, true});
  ggml_tensor* part = ggml_view_2d(context, products.matrix(), 512, 40, products.matrix()->nb[1], 0);
  ggml_tensor* heads =
      ggml_view_3d(context, products.x(), 512, 50, 2, products.x()->nb[1], products.x()->nb[1] * 50, 0);
  EXPECT_FALSE(ggml_backend_supports_op(ours(), ggml_mul_mat(context, part, products.x())));  // a view, as of a cache
  EXPECT_FALSE(ggml_backend_supports_op(ours(), ggml_mul_mat(context, products.matrix(), heads)));
  ggml_free(context);
}

TEST_F(PluginLinear, ReadsWhatGgmlRepacked) {
  ASSERT_NE(repack_buffer_type(), nullptr);
  EXPECT_TRUE(ggml_backend_supports_buft(ours(), repack_buffer_type()));
  for (const ggml_type type : {GGML_TYPE_Q4_0, GGML_TYPE_Q4_K}) {
    const Products plain({.type = type});
    const Products repacked({.type = type, .buffer_type = repack_buffer_type()});
    ASSERT_NE(repacked.matrix()->extra, nullptr) << ggml_type_name(type);
    ASSERT_TRUE(ggml_backend_supports_op(ours(), repacked.node())) << ggml_type_name(type);
    EXPECT_EQ(plain.run(ours()), repacked.run(ours())) << ggml_type_name(type);
  }
  EXPECT_FALSE(claims({.type = GGML_TYPE_IQ4_NL, .buffer_type = repack_buffer_type()}));
}

TEST_F(PluginLinear, ErrsLessThanGgml) {
  for (const ggml_type type : {GGML_TYPE_Q4_0, GGML_TYPE_Q8_0, GGML_TYPE_Q6_K, GGML_TYPE_F16}) {
    const Products products({.type = type});
    const std::vector<float> in_ours = products.run(ours()), in_ggml = products.run(cpu_backend(2));
    std::vector<float> params(512 * 72);
    ggml_get_type_traits(type)->to_float(products.matrix()->data, params.data(), 512 * 72);
    const auto* x = static_cast<const float*>(products.x()->data);
    double our_error = 0, ggmls_error = 0;
    for (Pos t = 0; t < 100; ++t) {
      for (Pos r = 0; r < 72; ++r) {
        double exact = 0;
        for (Pos d = 0; d < 512; ++d)
          exact += double{params[static_cast<std::size_t>(r * 512 + d)]} * double{x[t * 512 + d]};
        const auto at = static_cast<std::size_t>(t * 72 + r);
        our_error += std::pow(in_ours[at] - exact, 2);
        ggmls_error += std::pow(in_ggml[at] - exact, 2);
      }
    }
    EXPECT_LT(our_error, ggmls_error) << ggml_type_name(type);
    EXPECT_GT(our_error, 0) << ggml_type_name(type);
  }
}

TEST_F(PluginLinear, MatricesOfTheSameTokensRunTogetherAndAreCounted) {
  const Products two({.n_matrices = 2}), one({});
  llama::reset_record();
  const std::vector<float> both = two.run(ours()), first = one.run(ours());
  EXPECT_EQ(std::vector<float>(both.begin(), both.begin() + 100 * 72), first);
  const llama::Record record = llama::record();
  EXPECT_EQ(record.linear_calls, 3);
  EXPECT_EQ(record.linear_flop, 3 * 2 * 512 * 72 * 100);
  EXPECT_EQ(record.linear_bf16, in_tiles() ? record.linear_flop : 0);
  EXPECT_GT(record.linear_ns, 0);
  EXPECT_EQ(record.calls, 0);
}

/// As llama.cpp does it: the scheduler gives prompts to us, and decode steps to whom they belong, and copies nothing.
TEST_F(PluginLinear, TheSchedulerCopiesNothing) {
  for (const ggml_backend_buffer_type_t where : {ggml_backend_cpu_buffer_type(), repack_buffer_type()}) {
    for (const Pos n_tokens : {100, 1}) {
      const Products products({.n_tokens = n_tokens, .n_matrices = 2, .buffer_type = where});
      ggml_backend_t backends[] = {ours(), cpu_backend(2)};
      ggml_backend_buffer_type_t types[] = {ggml_backend_cpu_buffer_type(), ggml_backend_cpu_buffer_type()};
      ggml_backend_sched_t sched = ggml_backend_sched_new(backends, types, 2, 64, false, false);
      llama::reset_record();
      ASSERT_EQ(ggml_backend_sched_graph_compute(sched, products.graph()), GGML_STATUS_SUCCESS);
      const bool is_ours = n_tokens == 100 || where == ggml_backend_cpu_buffer_type();
      EXPECT_EQ(llama::record().linear_calls, is_ours ? 2 : 0);
      EXPECT_EQ(ggml_backend_sched_get_n_splits(sched), 1);
      EXPECT_EQ(ggml_backend_sched_get_n_copies(sched), 1);
      EXPECT_EQ(products.results(), products.run(backends[is_ours ? 0 : 1]));
      ggml_backend_sched_free(sched);
    }
  }
}

/// One product of a mixture of experts, its list of experts a view of a longer one, as llama.cpp's top-k leaves it.
class ExpertProduct {
 public:
  struct Shape {
    ggml_type type = GGML_TYPE_Q4_0;
    Pos dim = 512, n_rows = 72, n_tokens = 150, n_experts = 4, n_used = 2;
    bool same_x = true;  ///< [dim, 1, n_tokens], not [dim, n_used, n_tokens]
    ggml_backend_buffer_type_t buffer_type = ggml_backend_cpu_buffer_type();
  };

  explicit ExpertProduct(const Shape& shape) : shape_(shape) {
    weights_ = ggml_init({ggml_tensor_overhead() * 2, nullptr, true});
    rest_ = ggml_init({ggml_tensor_overhead() * 16 + ggml_graph_overhead(), nullptr, true});
    matrices_ = ggml_new_tensor_3d(weights_, shape.type, shape.dim, shape.n_rows, shape.n_experts);
    x_ = ggml_new_tensor_3d(rest_, GGML_TYPE_F32, shape.dim, shape.same_x ? 1 : shape.n_used, shape.n_tokens);
    ranked_ = ggml_new_tensor_2d(rest_, GGML_TYPE_I32, shape.n_experts, shape.n_tokens);
    ggml_tensor* used = ggml_view_2d(rest_, ranked_, shape.n_used, shape.n_tokens, ranked_->nb[1], 0);
    node_ = ggml_mul_mat_id(rest_, matrices_, x_, used);
    graph_ = ggml_new_graph(rest_);
    ggml_build_forward_expand(graph_, node_);
    weights_buffer_ = ggml_backend_alloc_ctx_tensors_from_buft(weights_, shape.buffer_type);
    ggml_backend_buffer_set_usage(weights_buffer_, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    rest_buffer_ = ggml_backend_alloc_ctx_tensors_from_buft(rest_, ggml_backend_cpu_buffer_type());
    Random random(2);
    for (Pos i = 0; i < ggml_nelements(x_); ++i) static_cast<float*>(x_->data)[i] = random.normal();
    for (Pos i = 0; i < ggml_nelements(matrices_); ++i) values_.push_back(0.02F * random.normal());
    std::vector<std::byte> stored(ggml_nbytes(matrices_));
    ggml_quantize_chunk(shape.type, values_.data(), stored.data(), 0, shape.n_rows * shape.n_experts, shape.dim,
                        nullptr);
    ggml_get_type_traits(shape.type)->to_float(stored.data(), values_.data(), static_cast<Pos>(values_.size()));
    ggml_backend_tensor_set(matrices_, stored.data(), 0, stored.size());
    for (Pos t = 0; t < shape.n_tokens; ++t) {
      auto* ranks = static_cast<std::int32_t*>(ranked_->data) + t * shape.n_experts;
      for (Pos e = 0; e < shape.n_experts; ++e) ranks[e] = static_cast<std::int32_t>((t * t + e) % shape.n_experts);
    }
  }
  ~ExpertProduct() {
    ggml_backend_buffer_free(weights_buffer_);
    ggml_backend_buffer_free(rest_buffer_);
    ggml_free(weights_);
    ggml_free(rest_);
  }
  ExpertProduct(const ExpertProduct&) = delete;
  ExpertProduct& operator=(const ExpertProduct&) = delete;

  ggml_tensor* node() const { return node_; }
  ggml_tensor* matrices() const { return matrices_; }
  ggml_cgraph* graph() const { return graph_; }
  std::vector<float> results() const {
    const auto* y = static_cast<const float*>(node_->data);
    return {y, y + ggml_nelements(node_)};
  }
  std::vector<float> run(ggml_backend_t backend) const {
    std::memset(node_->data, 0xFF, ggml_nbytes(node_));
    EXPECT_EQ(ggml_backend_graph_compute(backend, graph_), GGML_STATUS_SUCCESS);
    return results();
  }
  /// Squared, summed over all results.
  double error_of(const std::vector<float>& y) const {
    double sum = 0;
    std::size_t at = 0;
    for (Pos t = 0; t < shape_.n_tokens; ++t) {
      for (Pos slot = 0; slot < shape_.n_used; ++slot) {
        const Pos e = static_cast<const std::int32_t*>(ranked_->data)[t * shape_.n_experts + slot];
        const auto* x = static_cast<const float*>(x_->data) + (t * x_->ne[1] + slot % x_->ne[1]) * shape_.dim;
        for (Pos r = 0; r < shape_.n_rows; ++r, ++at) {
          double exact = 0;
          const float* row = values_.data() + (e * shape_.n_rows + r) * shape_.dim;
          for (Pos d = 0; d < shape_.dim; ++d) exact += double{row[d]} * double{x[d]};
          sum += std::pow(y[at] - exact, 2);
        }
      }
    }
    return sum;
  }

 private:
  Shape shape_;
  ggml_context *weights_ = nullptr, *rest_ = nullptr;
  ggml_cgraph* graph_ = nullptr;
  ggml_tensor *x_ = nullptr, *matrices_ = nullptr, *ranked_ = nullptr, *node_ = nullptr;
  ggml_backend_buffer_t weights_buffer_ = nullptr, rest_buffer_ = nullptr;
  std::vector<float> values_;  ///< of the parameters, decoded
};

bool claims_experts(const ExpertProduct::Shape& shape, LinearLayers linear = LinearLayers::kAuto) {
  return ggml_backend_supports_op(ours(linear), ExpertProduct(shape).node());
}

TEST_F(PluginLinear, ClaimsExpertsWithEnoughTokensEach) {
  for (const ggml_type type : {GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q5_1, GGML_TYPE_Q8_0,
                               GGML_TYPE_Q4_K, GGML_TYPE_Q5_K, GGML_TYPE_Q6_K, GGML_TYPE_F16, GGML_TYPE_BF16}) {
    EXPECT_TRUE(claims_experts({.type = type, .dim = 256, .n_rows = 8, .n_tokens = 300})) << ggml_type_name(type);
    EXPECT_FALSE(claims_experts({.type = type, .dim = 256, .n_rows = 8, .n_tokens = 1})) << ggml_type_name(type);
    EXPECT_FALSE(claims_experts({.type = type, .dim = 256, .n_rows = 8, .n_tokens = 300}, LinearLayers::kGgml))
        << ggml_type_name(type);
  }
  EXPECT_FALSE(claims_experts({.type = GGML_TYPE_IQ4_NL, .n_tokens = 300}));
  EXPECT_TRUE(claims_experts({.n_tokens = 300, .same_x = false}));
  // Two of four experts a token: half as many tokens for each expert as there are.
  EXPECT_FALSE(claims_experts({.n_tokens = 31}));
  EXPECT_TRUE(claims_experts({.n_tokens = 32}));
  const Pos k = in_tiles() ? 64 : 192;
  EXPECT_FALSE(claims_experts({.type = GGML_TYPE_Q4_K, .n_tokens = k - 1}));
  EXPECT_TRUE(claims_experts({.type = GGML_TYPE_Q4_K, .n_tokens = k}));
  EXPECT_FALSE(claims_experts({.type = GGML_TYPE_Q4_K, .n_tokens = 63, .buffer_type = repack_buffer_type()}));
  EXPECT_TRUE(claims_experts({.type = GGML_TYPE_Q4_K, .n_tokens = 64, .buffer_type = repack_buffer_type()}));
}

TEST_F(PluginLinear, ExpertsErrLessThanGgmls) {
  for (const bool same_x : {true, false}) {
    for (const ggml_type type : {GGML_TYPE_Q4_0, GGML_TYPE_Q6_K, GGML_TYPE_F16}) {
      const ExpertProduct product({.type = type, .n_rows = 24, .n_tokens = 200, .same_x = same_x});
      const double our_error = product.error_of(product.run(ours()));
      EXPECT_LT(our_error, product.error_of(product.run(cpu_backend(2)))) << ggml_type_name(type);
      EXPECT_GT(our_error, 0);
    }
  }
}

TEST_F(PluginLinear, ReadsExpertsThatGgmlRepacked) {
  for (const ggml_type type : {GGML_TYPE_Q4_0, GGML_TYPE_Q4_K}) {
    const ExpertProduct plain({.type = type, .n_tokens = 300});
    const ExpertProduct repacked({.type = type, .n_tokens = 300, .buffer_type = repack_buffer_type()});
    ASSERT_NE(repacked.matrices()->extra, nullptr) << ggml_type_name(type);
    ASSERT_TRUE(ggml_backend_supports_op(ours(), repacked.node())) << ggml_type_name(type);
    EXPECT_EQ(plain.run(ours()), repacked.run(ours())) << ggml_type_name(type);
  }
}

TEST_F(PluginLinear, TheSchedulerCopiesNoExperts) {
  for (const Pos n_tokens : {150, 1}) {
    const ExpertProduct product({.n_tokens = n_tokens, .buffer_type = repack_buffer_type()});
    ggml_backend_t backends[] = {ours(), cpu_backend(2)};
    ggml_backend_buffer_type_t types[] = {ggml_backend_cpu_buffer_type(), ggml_backend_cpu_buffer_type()};
    ggml_backend_sched_t sched = ggml_backend_sched_new(backends, types, 2, 64, false, false);
    llama::reset_record();
    ASSERT_EQ(ggml_backend_sched_graph_compute(sched, product.graph()), GGML_STATUS_SUCCESS);
    EXPECT_EQ(llama::record().linear_calls, n_tokens == 150 ? 1 : 0);
    EXPECT_EQ(llama::record().linear_flop, n_tokens == 150 ? 2 * 512 * 72 * 300 : 0);
    EXPECT_EQ(ggml_backend_sched_get_n_splits(sched), 1);
    EXPECT_EQ(ggml_backend_sched_get_n_copies(sched), 1);
    EXPECT_EQ(product.results(), product.run(backends[n_tokens == 150 ? 0 : 1]));
    ggml_backend_sched_free(sched);
  }
}

}  // namespace
}  // namespace saccade::testing
