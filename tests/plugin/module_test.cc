// libggml-saccade.so as an unmodified program meets it: loaded by ggml, steered by SACCADE_PLAN, given attention by
// ggml's scheduler. This program links ggml and nothing of ours.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml.h"

namespace {

std::string logged;

class Module : public ::testing::Test {
 protected:
  void SetUp() override {
    if (ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU) == nullptr) ggml_backend_load_all();
    logged.clear();
    ggml_log_set([](ggml_log_level, const char* text, void*) { logged += text; }, nullptr);
  }
  void TearDown() override {
    if (reg_ != nullptr) ggml_backend_unload(reg_);
  }

  ggml_backend_reg_t load(const char* plan) {
    plan ? setenv("SACCADE_PLAN", plan, 1) : unsetenv("SACCADE_PLAN");
    return reg_ = ggml_backend_load(SACCADE_MODULE);
  }

  ggml_backend_reg_t reg_ = nullptr;
};

/// Causal attention of 32 queries, as many as show a new context's width, over 64 slots, scheduled as llama.cpp does.
/// Keys are equal and the value of slot j is j, so that o is the mean of the slots that were looked at. Returns that of
/// the last query, which sees them all, in halves, which tells patterns apart whatever precision rounds, and the device
/// that computed it.
std::pair<long, std::string> scheduled_attention() {
  ggml_context* context = ggml_init({ggml_tensor_overhead() * 16 + ggml_graph_overhead(), nullptr, true});
  constexpr int kDim = 64, kKeys = 64, kQueries = 32;
  ggml_tensor* q = ggml_new_tensor_3d(context, GGML_TYPE_F32, kDim, kQueries, 1);
  ggml_tensor* k = ggml_new_tensor_3d(context, GGML_TYPE_F16, kDim, kKeys, 1);
  ggml_tensor* v = ggml_new_tensor_3d(context, GGML_TYPE_F16, kDim, kKeys, 1);
  ggml_tensor* mask = ggml_new_tensor_2d(context, GGML_TYPE_F16, kKeys, kQueries);
  for (ggml_tensor* input : {q, k, v, mask}) ggml_set_input(input);
  ggml_set_name(q, "Qcur-1");
  ggml_tensor* o = ggml_flash_attn_ext(context, q, k, v, mask, 0.125F, 0.0F, 0.0F);
  ggml_set_output(o);
  ggml_cgraph* graph = ggml_new_graph(context);
  ggml_build_forward_expand(graph, o);

  std::vector<ggml_backend_t> backends;
  for (const char* name : {"Saccade", "CPU"}) {
    if (ggml_backend_t backend = ggml_backend_init_by_name(name, nullptr)) backends.push_back(backend);
  }
  ggml_backend_sched_t sched =
      ggml_backend_sched_new(backends.data(), nullptr, static_cast<int>(backends.size()), 64, false, true);
  ggml_backend_sched_alloc_graph(sched, graph);
  ggml_backend_tensor_memset(q, 0, 0, ggml_nbytes(q));
  ggml_backend_tensor_memset(k, 0, 0, ggml_nbytes(k));
  std::vector<ggml_fp16_t> values(kDim * kKeys), hidden(kQueries * kKeys, ggml_fp32_to_fp16(0.0F));
  for (int j = 0; j < kKeys; ++j)
    std::fill_n(values.begin() + j * kDim, kDim, ggml_fp32_to_fp16(static_cast<float>(j)));
  for (int i = 0; i < kQueries; ++i) {
    for (int j = kKeys - kQueries + i + 1; j < kKeys; ++j) hidden[i * kKeys + j] = ggml_fp32_to_fp16(-INFINITY);
  }
  ggml_backend_tensor_set(v, values.data(), 0, ggml_nbytes(v));
  ggml_backend_tensor_set(mask, hidden.data(), 0, ggml_nbytes(mask));
  const std::string device = ggml_backend_name(ggml_backend_sched_get_tensor_backend(sched, o));
  EXPECT_EQ(ggml_backend_sched_graph_compute(sched, graph), GGML_STATUS_SUCCESS);
  float mean = NAN;
  ggml_backend_tensor_get(o, &mean, (kQueries - 1) * kDim * sizeof(float), sizeof mean);
  ggml_backend_sched_free(sched);
  for (ggml_backend_t backend : backends) ggml_backend_free(backend);
  ggml_free(context);
  return {std::lround(2 * mean), device};
}

TEST_F(Module, RunsDenseWithoutAPlan) {
  ASSERT_NE(load(nullptr), nullptr) << logged;
  EXPECT_NE(logged.find("attention by plan dense"), std::string::npos);
  const auto [halves, device] = scheduled_attention();
  EXPECT_EQ(device, "Saccade");
  EXPECT_EQ(halves, 63);
  EXPECT_NE(logged.find("saccade: 1 attention nodes ran here"), std::string::npos) << logged;
}

TEST_F(Module, RunsThePlanOfTheEnvironment) {
  ASSERT_NE(load("window(4)"), nullptr) << logged;
  const auto [halves, device] = scheduled_attention();
  EXPECT_EQ(device, "Saccade");
  EXPECT_EQ(halves, 123);
}

TEST_F(Module, ChoosesByTheData) {
  ASSERT_NE(load("window(4)+floor(mass=0.5)"), nullptr) << logged;  // 4 of at least 33 equal keys hold less than that
  EXPECT_EQ(scheduled_attention().first, 63);
  EXPECT_NE(logged.find("selectors chose for 1 heads of calls"), std::string::npos) << logged;
  EXPECT_NE(logged.find("dense ran 0 by rule, 1 by floor, 0 by cost"), std::string::npos) << logged;
}

TEST_F(Module, SaysThatAPlanIsOfAnotherModel) {
  const std::string path = ::testing::TempDir() + "saccade_module_plan.json";
  std::ofstream(path) << R"json({"default": {"attn": "dense"}, "rows": [{"layers": "7", "attn": "window(4)"}]})json";
  ASSERT_NE(load(path.c_str()), nullptr) << logged;
  EXPECT_EQ(scheduled_attention().first, 63);
  const std::string line = "saccade: plan: rows[0].layers names layer 7, but the model has 2 (0-1)\n";
  const std::size_t at = logged.find(line);
  EXPECT_NE(at, std::string::npos) << logged;
  EXPECT_EQ(logged.find(line, at + 1), std::string::npos) << "once";
  std::remove(path.c_str());
}

TEST_F(Module, WritesWhatWasLookedAt) {
  const std::string path = ::testing::TempDir() + "saccade_module_see.json";
  std::remove(path.c_str());
  setenv("SACCADE_SEE", path.c_str(), 1);
  setenv("SACCADE_SEE_PROBES", "entropy", 1);
  ASSERT_NE(load(nullptr), nullptr) << logged;
  EXPECT_EQ(scheduled_attention().first, 63);
  std::string text;
  std::getline(std::ifstream(path), text);
  // Equal keys: ln 33 to ln 64, of 32 queries.
  EXPECT_NE(text.find(R"("probes":["entropy"],"layers":[{"layer":1,"window":0,"queries_not_seen":0,"prompt":)"
                      R"({"queries":32,"entropy":[3.8)"),
            std::string::npos)
      << text;
  std::remove(path.c_str());

  setenv("SACCADE_SEE", "/none/see.json", 1);
  ASSERT_NE(load(nullptr), nullptr);
  EXPECT_NE(logged.find("saccade: SACCADE_SEE: nothing is looked at: cannot write /none/see.json: No such file"),
            std::string::npos)
      << logged;
  EXPECT_EQ(scheduled_attention(), (std::pair<long, std::string>(63, "Saccade"))) << "the program goes on";
  unsetenv("SACCADE_SEE");
  unsetenv("SACCADE_SEE_PROBES");
}

TEST_F(Module, APlanItCannotReadLeavesTheProgramToGgml) {
  EXPECT_EQ(load("windw(4)"), nullptr);
  EXPECT_NE(logged.find("saccade: not used: "), std::string::npos) << logged;
  EXPECT_NE(logged.find("window"), std::string::npos) << logged;
  const auto [halves, device] = scheduled_attention();
  EXPECT_EQ(device, "CPU");
  EXPECT_EQ(halves, 63);
}

TEST_F(Module, LoadingItTwiceIsLoadingItOnce) {
  const ggml_backend_reg_t first = load(nullptr);
  ASSERT_NE(first, nullptr);
  const std::size_t n = ggml_backend_dev_count();
  EXPECT_EQ(load(nullptr), first);
  EXPECT_EQ(ggml_backend_dev_count(), n);
}

}  // namespace
