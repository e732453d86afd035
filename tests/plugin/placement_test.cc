// What llama.cpp's loader is told when it asks where weights go, as on a machine whose ggml would hide them in its AMX
// layout.

#include "plugins/llama/placement.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "ggml-backend.h"
#include "plugins/llama/backend.h"
#include "saccade/linear/linear.h"
#include "tests/linear/linear_case.h"
#include "tests/plugin/attention_case.h"

namespace saccade::testing {
namespace {

void plan(LinearLayers linear) {
  llama::use_plan(std::make_shared<const Plan>(Plan::from_spec("dense").with_linear(linear)));
}

class Placement : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!can_multiply(ParamFormat::q4_0, 256)) GTEST_SKIP() << "this CPU has no AVX-512 VNNI";
    cpu_backend(2);
    llama::pretend_ggml_hides_weights();
    plan(LinearLayers::kAuto);
    reg_ = ggml_backend_reg_by_name("Saccade");
    ASSERT_NE(reg_, nullptr);
  }
  void TearDown() override { llama::use_plan(nullptr); }

  ggml_backend_dev_t device(std::size_t i) const { return ggml_backend_reg_dev_get(reg_, i); }

  /// As llama.cpp asks (make_cpu_buft_list, weight_buft_supported): ours whose type is another than the CPU's, in
  /// order.
  /// "" when none takes it.
  std::string place_of(ggml_tensor* weights, ggml_tensor* node) const {
    for (std::size_t i = 0; i < ggml_backend_reg_dev_count(reg_); ++i) {
      ggml_backend_buffer_type_t type = ggml_backend_dev_buffer_type(device(i));
      if (type == ggml_backend_cpu_buffer_type()) continue;
      weights->buffer = ggml_backend_buft_alloc_buffer(type, 0);
      const bool takes = ggml_backend_dev_supports_op(device(i), node);
      ggml_backend_buffer_free(weights->buffer);
      weights->buffer = nullptr;
      if (takes) return ggml_backend_buft_name(type);
    }
    return "";
  }

  std::string place_of(ggml_type type, Pos n_rows = 64, Pos dim = 512) const {
    ggml_context* context = ggml_init({ggml_tensor_overhead() * 4, nullptr, true});
    ggml_tensor* weights = ggml_new_tensor_2d(context, type, dim, n_rows);
    std::string place =
        place_of(weights, ggml_mul_mat(context, weights, ggml_new_tensor_2d(context, GGML_TYPE_F32, dim, 512)));
    ggml_free(context);
    return place;
  }

  ggml_backend_reg_t reg_ = nullptr;
};

TEST_F(Placement, WhatLinearReadsGoesWhereItReadsIt) {
  ASSERT_NE(repack_buffer_type(), nullptr);
  for (const ggml_type type : {GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q5_1, GGML_TYPE_Q8_0, GGML_TYPE_Q5_K,
                               GGML_TYPE_Q6_K, GGML_TYPE_F16, GGML_TYPE_BF16}) {
    EXPECT_EQ(place_of(type), "Saccade") << ggml_type_name(type);
  }
  for (const ggml_type type : {GGML_TYPE_Q4_0, GGML_TYPE_Q4_K}) {
    EXPECT_EQ(place_of(type), "CPU_REPACK") << ggml_type_name(type);
    EXPECT_EQ(place_of(type, 70), "Saccade") << "ggml packs eight rows at a time";
  }
}

TEST_F(Placement, TheRestStaysWithGgml) {
  for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_IQ4_NL, GGML_TYPE_IQ4_XS, GGML_TYPE_Q3_K})
    EXPECT_EQ(place_of(type), "") << ggml_type_name(type);
  ggml_context* context = ggml_init({ggml_tensor_overhead() * 16, nullptr, true});
  ggml_tensor* weights = ggml_new_tensor_2d(context, GGML_TYPE_Q8_0, 512, 64);
  ggml_tensor* ids = ggml_new_tensor_1d(context, GGML_TYPE_I32, 512);
  EXPECT_EQ(place_of(weights, ggml_get_rows(context, weights, ids)), "") << "an embedding";
  ggml_tensor* bias = ggml_new_tensor_1d(context, GGML_TYPE_F32, 512);
  EXPECT_EQ(place_of(bias, ggml_add(context, ggml_new_tensor_2d(context, GGML_TYPE_F32, 512, 512), bias)), "");
  ggml_tensor* experts = ggml_new_tensor_3d(context, GGML_TYPE_Q8_0, 512, 64, 4);
  ggml_tensor* used = ggml_new_tensor_2d(context, GGML_TYPE_I32, 2, 512);
  ggml_tensor* x = ggml_new_tensor_3d(context, GGML_TYPE_F32, 512, 2, 512);
  EXPECT_EQ(place_of(experts, ggml_mul_mat_id(context, experts, x, used)), "") << "ggml hides no experts";
  ggml_free(context);
}

TEST_F(Placement, APlanThatLeavesLinearLayersToGgmlLeavesTheirWeightsToo) {
  EXPECT_TRUE(llama::places_weights());
  plan(LinearLayers::kGgml);
  EXPECT_FALSE(llama::places_weights());
  EXPECT_EQ(place_of(GGML_TYPE_Q8_0), "");
  llama::use_plan(nullptr);
  EXPECT_FALSE(llama::places_weights());
  EXPECT_EQ(place_of(GGML_TYPE_Q8_0), "");
}

/// Those beside the first say where weights go and compute nothing: a graph's weights have memory.
TEST_F(Placement, OnlyTheFirstDeviceComputes) {
  ASSERT_EQ(ggml_backend_reg_dev_count(reg_), 3);
  ggml_backend_buffer_type_t plain = ggml_backend_dev_buffer_type(device(1));
  ggml_context* context = ggml_init({ggml_tensor_overhead() * 4, nullptr, true});
  ggml_tensor* weights = ggml_new_tensor_2d(context, GGML_TYPE_Q8_0, 512, 64);
  ggml_backend_buffer_t buffer = ggml_backend_alloc_ctx_tensors_from_buft(context, plain);
  ggml_backend_buffer_set_usage(buffer, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
  ggml_tensor* node = ggml_mul_mat(context, weights, ggml_new_tensor_2d(context, GGML_TYPE_F32, 512, 512));
  EXPECT_TRUE(ggml_backend_dev_supports_op(device(0), node));
  EXPECT_FALSE(ggml_backend_dev_supports_op(device(1), node));
  EXPECT_FALSE(ggml_backend_dev_supports_op(device(2), node));
  ggml_backend_buffer_free(buffer);
  ggml_free(context);
}

TEST_F(Placement, AFileStaysMapped) {
  ggml_backend_dev_props props;
  ggml_backend_dev_get_props(device(1), &props);
  EXPECT_TRUE(props.caps.buffer_from_host_ptr);
  alignas(64) std::byte file[256] = {std::byte{7}};
  ggml_backend_buffer_t buffer = ggml_backend_dev_buffer_from_host_ptr(device(1), file, sizeof file, sizeof file);
  ASSERT_NE(buffer, nullptr);
  EXPECT_EQ(ggml_backend_buffer_get_base(buffer), file);
  EXPECT_TRUE(ggml_backend_buffer_is_host(buffer));
  ggml_backend_buffer_type_t type = ggml_backend_buffer_get_type(buffer);
  EXPECT_EQ(type, ggml_backend_dev_buffer_type(device(1)));
  EXPECT_EQ(ggml_backend_buft_get_device(type), device(1)) << "llama.cpp finds by it who maps";
  ggml_backend_buffer_free(buffer);
  // What llama.cpp puts beside a matrix: an adapter's.
  buffer = ggml_backend_buft_alloc_buffer(type, 100);
  ASSERT_NE(buffer, nullptr);
  EXPECT_EQ(ggml_backend_buffer_get_type(buffer), type);
  ggml_backend_buffer_clear(buffer, 3);
  EXPECT_EQ(static_cast<const std::byte*>(ggml_backend_buffer_get_base(buffer))[99], std::byte{3});
  ggml_backend_buffer_free(buffer);
}

TEST_F(Placement, OnlyWhereGgmlHidesWeights) {
  const llama::Ggml ggml = llama::find_ggml();
  bool has_amx = false;
  llama::for_each_packing(
      ggml, [&](ggml_backend_buffer_type_t type) { has_amx |= std::string(ggml_backend_buft_name(type)) == "AMX"; });
  EXPECT_EQ(llama::ggml_hides_weights(ggml), has_amx && linear_precision() == Precision::kBf16);
}

}  // namespace
}  // namespace saccade::testing
