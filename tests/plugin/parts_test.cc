// The small parts of the plug-in: layer names, slot order, threads, and when it declines to be loaded.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <optional>
#include <vector>

#include "plugins/llama/layer.h"
#include "plugins/llama/mask_memory.h"
#include "plugins/llama/params.h"
#include "plugins/llama/plan_check.h"
#include "plugins/llama/plugin.h"
#include "plugins/llama/slot_order.h"
#include "plugins/llama/team.h"
#include "tests/plugin/attention_case.h"

namespace saccade::llama {
namespace {

int layer_named(const char* node, const char* q, const char* k) {
  ggml_tensor tensors[3] = {};
  ggml_set_name(&tensors[0], node);
  ggml_set_name(&tensors[1], q);
  ggml_set_name(&tensors[2], k);
  tensors[0].src[0] = &tensors[1];
  tensors[0].src[1] = &tensors[2];
  return layer_of(tensors[0]);
}

TEST(Layer, IsReadFromTheNames) {
  EXPECT_EQ(layer_named("__fattn__-7", "", ""), 7);
  EXPECT_EQ(layer_named("node_24", "Qcur-12 (view) (permuted)", "cache_k_l3 (view)"), 12);
  EXPECT_EQ(layer_named("node_24", "node_20 (view) (permuted)", "cache_k_l31 (view) (permuted)"), 31);
  EXPECT_EQ(layer_named("node_24", "node_20 (view)", "node_22 (view)"), -1);
  EXPECT_EQ(layer_named("", "", ""), -1);
  EXPECT_EQ(layer_named("a-", "b-1x", "cache_k_l"), -1);
  EXPECT_EQ(layer_named("a-99999999999", "", ""), -1);
}

TEST(Alibi, SlopesWorkedByHand) {
  EXPECT_TRUE(alibi_slopes(0.0F, 4).empty());
  EXPECT_TRUE(alibi_slopes(-8.0F, 4).empty());
  EXPECT_EQ(alibi_slopes(8.0F, 4), (std::vector<float>{0x1p-2F, 0x1p-4F, 0x1p-6F, 0x1p-8F}));
  EXPECT_EQ(alibi_slopes(8.0F, 1), (std::vector<float>{0x1p-8F}));
  const std::vector<float> six = alibi_slopes(8.0F, 6);  // four whole steps, then the odd half steps
  ASSERT_EQ(six.size(), 6U);
  EXPECT_EQ(six[3], 0x1p-8F);
  EXPECT_FLOAT_EQ(six[4], 0x1p-1F);
  EXPECT_FLOAT_EQ(six[5], 0x1p-3F);
}

TEST(SlotOrder, IsKnownFromTheStartOfASequence) {
  SlotOrder order;
  const int a = 0, b = 0;
  EXPECT_TRUE(order.holds(&a, 0, 512));
  EXPECT_TRUE(order.holds(&a, 512, 1));
  EXPECT_TRUE(order.holds(&a, 100, 1));   // rolled back
  EXPECT_FALSE(order.holds(&a, 200, 1));  // somebody filled 101 to 199
  EXPECT_FALSE(order.holds(&b, 100, 1));  // never seen
  EXPECT_TRUE(order.holds(&b, 100, 2));   // a restored session goes on
  EXPECT_TRUE(order.holds(&b, 102, 1));
}

TEST(SlotOrder, IsLostWithAMaskThatIsNoCausalRun) {
  SlotOrder order;
  const int a = 0;
  EXPECT_TRUE(order.holds(&a, 0, 100));
  order.lose(&a);
  EXPECT_FALSE(order.holds(&a, 100, 1));
  EXPECT_FALSE(order.holds(&a, 100, 8));
  EXPECT_TRUE(order.holds(&a, 0, 1));
  EXPECT_TRUE(order.holds(&a, 1, 1));
}

/// A mask under which query i of `q_len` sees the keys [0, p0 + i].
struct CausalMask {
  CausalMask(Pos q, Pos kv, Pos p) : q_len(q), kv_len(kv) { write(p); }
  void write(Pos p0) {
    values.assign(static_cast<std::size_t>(q_len * kv_len), -HUGE_VALF);
    for (Pos i = 0; i < q_len; ++i) std::fill_n(values.begin() + i * kv_len, p0 + i + 1, 0.0F);
  }
  BiasView view() const { return {values.data(), DType::f32, kv_len * 4}; }
  Pos q_len, kv_len;
  std::vector<float> values;
};

class MaskMemoryTest : public ::testing::Test {
 protected:
  std::optional<Pos> look(int layer) {
    return memory_.causal_run(layer, mask_.view(), mask_.q_len, mask_.kv_len, alone_, mask_.kv_len);
  }
  Alone alone_;
  MaskMemory memory_;
  CausalMask mask_{20, 300, 100};
};

TEST_F(MaskMemoryTest, TheLowestLayerOfAGraphReads) {
  EXPECT_EQ(look(0), 100);
  mask_.values[5 * 300 + 299] = 0.0F;  // where nobody looks who does not read everything
  EXPECT_EQ(look(1), 100) << "a higher layer goes by what the first one found";
  EXPECT_EQ(look(7), 100);
  EXPECT_EQ(look(7), std::nullopt) << "the same layer again: another graph";
  EXPECT_EQ(look(8), std::nullopt) << "what is no causal run is read again";
}

TEST_F(MaskMemoryTest, WhatWasWrittenForOtherQueriesIsNoticed) {
  EXPECT_EQ(look(2), 100);
  mask_.write(120);
  EXPECT_EQ(look(3), 120);
  mask_.write(90);
  EXPECT_EQ(look(4), 90);
  mask_.values[7 * 300] = -HUGE_VALF;  // two texts in the slots: the later one does not see the first key
  EXPECT_EQ(look(5), std::nullopt);
}

TEST_F(MaskMemoryTest, WithoutALayersNumberEverythingIsRead) {
  EXPECT_EQ(look(-1), 100);
  mask_.values[5 * 300 + 299] = 0.0F;
  EXPECT_EQ(look(-1), std::nullopt);
  mask_.write(100);
  EXPECT_EQ(look(-1), 100);
  mask_.values[5 * 300 + 299] = 0.0F;
  EXPECT_EQ(look(3), std::nullopt) << "what an unknown layer found may be an older graph's";
}

std::shared_ptr<const Plan> plan_for(const std::string& layers, const std::string& heads) {
  return std::make_shared<const Plan>(Plan::from_json(R"({"default": {"attn": "dense"}, "rows": [{"layers": ")" +
                                                      layers + R"(", "heads": ")" + heads +
                                                      R"(", "attn": "window"}]})"));
}

/// The lines about three layers of 4 heads, twice, and the end.
std::vector<std::string> lines_about(const std::shared_ptr<const Plan>& plan) {
  PlanCheck check;
  std::vector<std::string> lines;
  for (const int layer : {0, 1, 2, 0, 1, 2}) lines.push_back(check.next(plan, layer, 4));
  lines.push_back(check.end());
  return lines;
}

TEST(PlanCheck, SaysOnceThatAPlanIsOfAnotherModel) {
  EXPECT_EQ(lines_about(plan_for("0-2", "0-3")), std::vector<std::string>(7));
  std::vector<std::string> expected(7);
  expected[3] = "plan: rows[0].layers names layer 3, but the model has 3 (0-2)";
  EXPECT_EQ(lines_about(plan_for("1-3", "0")), expected);
  expected[3] = "plan: rows[0].heads names head 4, but the model has 4 (0-3)";
  EXPECT_EQ(lines_about(plan_for("1", "4")), expected);
}

TEST(PlanCheck, WaitsForTheEndOfASinglePass) {
  PlanCheck check;
  const auto plan = plan_for("5", "0");
  for (const int layer : {0, 1, 2}) EXPECT_EQ(check.next(plan, layer, 4), "");
  EXPECT_NE(check.end(), "");
  EXPECT_EQ(check.end(), "");
  PlanCheck nameless;
  EXPECT_EQ(nameless.next(plan, -1, 4), "");
  EXPECT_EQ(nameless.end(), "") << "whose layers have no names it cannot tell";
}

TEST(GuestTeam, RunsEachWorkerOnce) {
  saccade::testing::cpu_backend(2);
  for (const int n_threads : {1, 2, 5}) {
    const auto team = make_guest_team(find_ggml(), n_threads);
    ASSERT_EQ(team->size(), n_threads);
    for (int round = 0; round < 100; ++round) {
      std::vector<std::atomic<int>> runs(static_cast<std::size_t>(n_threads));
      team->run([&](int worker) { ++runs[static_cast<std::size_t>(worker)]; });
      for (const auto& n : runs) EXPECT_EQ(n, 1);
    }
  }
}

std::string logged;

void keep_log(ggml_log_level, const char* format, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  logged += line;
}

Ggml this_ggml() {
  saccade::testing::cpu_backend(1);
  Ggml ggml = find_ggml();
  ggml.log = keep_log;
  logged.clear();
  return ggml;
}

TEST(Plugin, DeclinesAGgmlItDoesNotKnow) {
  Ggml ggml = this_ggml();
  ggml.version = [] { return "0.99.0"; };
  EXPECT_EQ(open_plugin(ggml, {}), nullptr);
  EXPECT_EQ(logged,
            std::string("saccade: not used: built for ggml ") + known_ggml_version() + ", this is ggml 0.99.0\n");
}

TEST(Plugin, DeclinesAGgmlThatLacksEverything) {
  EXPECT_EQ(open_plugin(Ggml{}, {}), nullptr);
  Ggml ggml = this_ggml();
  ggml.graph_node = nullptr;
  EXPECT_EQ(open_plugin(ggml, {}), nullptr);
  EXPECT_NE(logged.find("lacks functions"), std::string::npos);
}

TEST(Plugin, DeclinesAPlanItCannotRead) {
  for (const char* plan : {"windw(5)", "window(1024", "", "window(-1)"}) {
    EXPECT_EQ(open_plugin(this_ggml(), {.plan = plan}), nullptr) << plan;
    EXPECT_EQ(logged.find("saccade: not used: "), 0U) << logged;
    EXPECT_EQ(std::count(logged.begin(), logged.end(), '\n'), 1) << logged;
  }
}

TEST(Plugin, TakesAPlanItCanRead) {
  EXPECT_NE(open_plugin(this_ggml(), {.plan = "window(16)+sink(4)"}), nullptr);
  EXPECT_EQ(logged, "saccade: attention by plan window(16)+sink(4)\n");
}

}  // namespace
}  // namespace saccade::llama
