// What the backend does with plans, masks and threads, one call at a time.

#include "plugins/llama/backend.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <thread>

#include "ggml-backend.h"
#include "plugins/llama/judge.h"
#include "plugins/llama/watcher.h"
#include "saccade/attend/look.h"
#include "saccade/see/column_sums.h"
#include "saccade/see/entropy.h"
#include "tests/plugin/attention_case.h"
#include "tests/tolerance.h"

namespace saccade::testing {
namespace {

AttentionCase causal(Pos p0, Pos q_len) {
  AttentionCase c;
  c.seed = 5;
  c.n_heads = 4;
  c.n_kv_heads = 2;
  c.p0 = p0;
  c.q_len = q_len;
  c.kv_len = p0 + q_len + 40;
  c.mask = MaskKind::kPaddedCausal;
  return c;
}

/// Every row of `o` must be attention over what `visible` admits.
template <class Visible>
void check(const AttentionCase& c, const AttentionGraph& graph, const std::vector<float>& o, const Visible& visible) {
  const oracle::Inputs in = [&] {
    oracle::Inputs inputs = graph.inputs(0, 0);
    inputs.q_begin = c.p0;
    return inputs;
  }();
  for (Pos i = 0; i < c.q_len; ++i) {
    for (Pos head = 0; head < c.n_heads; ++head) {
      const Expected row = expect_row(in, i, head, visible, [](auto score) { return score; });
      const auto first = static_cast<std::size_t>((i * c.n_heads + head) * c.head_dim);
      EXPECT_TRUE(judge(row, std::span(o).subspan(first, static_cast<std::size_t>(c.head_dim)), nullptr, c.seed));
    }
  }
}

constexpr auto kAll = [](Pos, Pos) { return true; };

class Backend : public ::testing::Test {
 protected:
  void SetUp() override { llama::reset_record(); }
};

TEST_F(Backend, IsAnAcceleratorOnHostMemory) {
  const auto device = ggml_backend_get_device(our_backend("dense", 1));
  EXPECT_EQ(ggml_backend_dev_type(device), GGML_BACKEND_DEVICE_TYPE_ACCEL);
  EXPECT_EQ(ggml_backend_dev_buffer_type(device), ggml_backend_cpu_buffer_type());
  EXPECT_TRUE(ggml_backend_dev_supports_buft(device, ggml_backend_cpu_buffer_type()));
}

TEST_F(Backend, RunsThePlanWhereTheMaskIsCausal) {
  const AttentionCase c = causal(100, 20);
  AttentionGraph graph(c);
  const std::vector<float> o = graph.run(our_backend("window(30)+sink(2)", 2));
  check(c, graph, o, [](Pos q, Pos k) { return k < 2 || (k <= q && k > q - 30); });
  const llama::Record record = llama::record();
  EXPECT_EQ(record.calls, 1);
  EXPECT_EQ(record.calls_not_causal, 0);
  EXPECT_EQ(record.pairs_visited, 20 * 32 * c.n_heads);
  EXPECT_EQ(record.pairs_dense, (101 + 120) * 20 / 2 * c.n_heads);
  EXPECT_GT(record.attention_ns, 0);
}

TEST_F(Backend, EachHeadHasItsOwnRow) {
  const AttentionCase c = causal(60, 9);
  AttentionGraph graph(c);
  ggml_backend_t ours = our_backend("dense", 2);
  const std::vector<float> dense = graph.run(ours);
  llama::use_plan(std::make_shared<const Plan>(Plan::from_json(
      R"json({"default": {"attn": "dense", "precision": "f32"}, "rows": [{"layers": "3", "heads": "1-2", "attn": "window(7)"}]})json")));
  ggml_set_name(graph.node()->src[0], "Qcur-3 (view) (permuted)");
  const std::vector<float> mixed = graph.run(ours);
  ggml_set_name(graph.node()->src[0], "Qcur-4 (view) (permuted)");
  EXPECT_EQ(graph.run(ours), dense);
  for (Pos head = 0; head < c.n_heads; ++head) {
    const auto first = static_cast<std::size_t>(head * c.head_dim);
    const bool same = std::equal(dense.begin() + first, dense.begin() + first + c.head_dim, mixed.begin() + first);
    EXPECT_EQ(same, head == 0 || head == 3) << head;
  }
}

TEST_F(Backend, AnotherMaskRunsDenseAndIsCounted) {
  for (const MaskKind mask : {MaskKind::kSlidingWindow, MaskKind::kTwoSequences, MaskKind::kNone, MaskKind::kBias}) {
    AttentionCase c = causal(100, 20);
    c.mask = mask;
    AttentionGraph graph(c);
    llama::reset_record();
    check(c, graph, graph.run(our_backend("window(3)", 2)), kAll);  // the mask hides what it hides
    EXPECT_EQ(llama::record().calls_not_causal, 1);
    EXPECT_EQ(llama::record().pairs_visited, llama::record().pairs_dense);
  }
}

TEST_F(Backend, AfterDisorderInTheSlotsItRunsDense) {
  AttentionCase c = causal(62, 2);
  c.kv_len = 64;
  AttentionGraph graph(c);
  ggml_backend_t ours = our_backend("window(3)", 2);
  const auto in_window = [](Pos q, Pos k) { return k > q - 3; };
  check(c, graph, graph.run(ours), in_window);
  auto* mask = static_cast<std::uint16_t*>(graph.node()->src[3]->data);
  mask[10] = 0xfc00;  // somebody freed slot 10
  graph.run(ours);
  mask[10] = 0;  // and filled it again: nobody can tell that its key is now the newest
  check(c, graph, graph.run(ours), kAll);
  EXPECT_EQ(llama::record().calls_not_causal, 2);
}

/// Takes its time, and keeps what it saw.
struct SlowJudge : llama::Judge {
  void look(const llama::JudgedCall& judged) override {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ++n_looks;
    layer = judged.layer;
    heads.assign(judged.heads.begin(), judged.heads.end());
    q_begin = judged.call.q_begin;
    n_patterns = judged.call.where.size();
    o = judged.call.o.row(0, 1)[0];
  }
  int n_looks = 0, layer = 0;
  std::vector<int> heads;
  Pos q_begin = 0;
  std::size_t n_patterns = 0;
  float o = 0;
};

TEST_F(Backend, AJudgeSeesWhatRanAndItsTimeIsItsOwn) {
  struct Nobody {
    ~Nobody() { llama::set_judge(nullptr); }
  } at_the_end;
  SlowJudge judge;
  llama::set_judge(&judge);
  const AttentionCase c = causal(100, 20);
  AttentionGraph graph(c);
  ggml_set_name(graph.node(), "__fattn__-3");
  const std::vector<float> o = graph.run(our_backend("window(30)", 2));
  EXPECT_EQ(judge.n_looks, 1);
  EXPECT_EQ(judge.layer, 3);
  EXPECT_EQ(judge.heads, (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(judge.q_begin, 100);
  EXPECT_EQ(judge.n_patterns, 4U);
  EXPECT_EQ(judge.o, o[static_cast<std::size_t>(c.head_dim)]);
  EXPECT_GE(llama::record().judged_ns, 50'000'000);
  EXPECT_LT(llama::record().attention_ns, 50'000'000);

  AttentionCase other = c;
  other.mask = MaskKind::kTwoSequences;
  AttentionGraph(other).run(our_backend("window(30)", 2));
  EXPECT_EQ(judge.n_looks, 1) << "a call that no plan governs";
  llama::set_judge(nullptr);
  llama::reset_record();
  graph.run(our_backend("window(30)", 2));
  EXPECT_EQ(judge.n_looks, 1);
  EXPECT_EQ(llama::record().judged_ns, 0);
}

TEST_F(Backend, AWatcherSeesLseAndChangesNothing) {
  struct Nobody {
    ~Nobody() { llama::set_watcher({}); }
  } at_the_end;
  const AttentionCase c = causal(100, 70);
  AttentionGraph graph(c);
  ggml_set_name(graph.node(), "__fattn__-3");
  for (const char* spec : {"dense", "window(30)"}) {
    const std::vector<float> alone = graph.run(our_backend(spec, 2));
    see::ColumnSums columns;
    see::Entropy entropy;
    Workspace workspace;
    int n_looks = 0;
    llama::set_watcher([&](int layer, const AttendCall& call, const float* lse, Team& team) {
      EXPECT_EQ(layer, 3);
      Probe* const probes[] = {&columns, &entropy};
      look(call, lse, probes, team, workspace);
      ++n_looks;
    });
    llama::reset_record();
    EXPECT_EQ(graph.run(our_backend(spec, 2)), alone) << "to the bit";
    llama::set_watcher({});
    EXPECT_EQ(n_looks, 1);
    EXPECT_GT(llama::record().judged_ns, 0);
    EXPECT_EQ(entropy.values().q_positions(), (Range{100, 170}));
    const auto sums = columns.sums().head(1);
    // Every query's weights add up to 1.
    EXPECT_FLOAT_EQ(static_cast<float>(std::accumulate(sums.begin(), sums.end(), 0.0)), 70.0F);
  }
}

TEST_F(Backend, WithoutAPlanNothingIsClaimed) {
  AttentionGraph graph(causal(0, 4));
  ggml_backend_t ours = our_backend("dense", 1);
  EXPECT_TRUE(ggml_backend_supports_op(ours, graph.node()));
  EXPECT_TRUE(ggml_backend_supports_op(ours, graph.node()->src[0]));
  llama::use_plan(nullptr);
  EXPECT_FALSE(ggml_backend_supports_op(ours, graph.node()));
  EXPECT_FALSE(ggml_backend_supports_op(ours, graph.node()->src[0]));
}

TEST_F(Backend, ThreadsDoNotChangeWhatIsComputed) {
  const AttentionCase c = causal(700, 33);
  AttentionGraph graph(c);
  for (const int n_threads : {1, 2, 3, 8}) check(c, graph, graph.run(our_backend("dense", n_threads)), kAll);
  EXPECT_EQ(graph.run(our_backend("dense", 2)), graph.run(our_backend("dense", 2)));
}

TEST_F(Backend, OtherOperationsAreDeclined) {
  ggml_context* context = ggml_init({ggml_tensor_overhead() * 8, nullptr, true});
  ggml_tensor* a = ggml_new_tensor_2d(context, GGML_TYPE_F32, 8, 8);
  EXPECT_FALSE(ggml_backend_supports_op(our_backend("dense", 1), ggml_mul_mat(context, a, a)));
  EXPECT_FALSE(ggml_backend_supports_op(our_backend("dense", 1), ggml_soft_max(context, a)));
  EXPECT_TRUE(ggml_backend_supports_op(our_backend("dense", 1), ggml_transpose(context, a)));
  ggml_free(context);
}

TEST_F(Backend, HeadSizesOutsideTheRangeAreDeclined) {
  for (const Pos head_dim : {8, 24, 36, 100, 580, 584}) {
    AttentionCase c = causal(0, 4);
    c.head_dim = c.head_dim_v = head_dim;
    AttentionGraph graph(c);
    EXPECT_FALSE(ggml_backend_supports_op(our_backend("dense", 1), graph.node())) << head_dim;
  }
}

/// What llama.cpp's `-fa auto` tries first, one token a sequence, is left to the CPU's own device; see device.cc.
TEST_F(Backend, DeclinesANewContextsFirstTokens) {
  const ggml_backend_t ours = our_backend("dense", 1);
  AttentionGraph narrow(causal(100, 4)), wide(causal(100, 32));
  EXPECT_TRUE(ggml_backend_supports_op(ours, narrow.node()));
  const ggml_backend_t another = ggml_backend_init_by_name("Saccade", nullptr);
  EXPECT_FALSE(ggml_backend_supports_op(another, narrow.node()));
  EXPECT_TRUE(ggml_backend_supports_op(another, wide.node()));
  EXPECT_TRUE(ggml_backend_supports_op(another, narrow.node()));
  ggml_backend_free(another);
}

}  // namespace
}  // namespace saccade::testing
