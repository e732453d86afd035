// Sliding-window layers as a judge sees them: positions told from masks whose slots are filled in turn.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "plugins/llama/judge.h"
#include "plugins/llama/window_rings.h"
#include "saccade/attend/look.h"
#include "saccade/see/entropy.h"
#include "saccade/where/window.h"
#include "tests/plugin/attention_case.h"
#include "tests/support/dtype.h"
#include "tests/support/random.h"

namespace saccade::testing {
namespace {

using llama::OrderedRows;
using llama::RingRun;
using llama::WindowRings;

/// A sliding-window layer: position p lies in slot (p + offset) % n_slots.
struct Ring {
  Pos n_slots = 512, window = 100, offset = 0;

  Pos slot(Pos position) const { return (position + offset) % n_slots; }
  /// The mask of these queries over the first n_kv slots: f16, [q_len, n_kv].
  std::vector<std::uint16_t> mask(Range queries, Pos n_kv) const {
    std::vector<std::uint16_t> all(static_cast<std::size_t>(queries.size() * n_kv), 0xFC00);
    for (Pos q = queries.begin; q < queries.end; ++q) {
      for (Pos p = std::max<Pos>(0, q + 1 - window); p <= q; ++p)
        all[static_cast<std::size_t>((q - queries.begin) * n_kv + slot(p))] = 0;
    }
    return all;
  }
  /// How many slots llama.cpp would show.
  Pos n_kv(Range queries) const { return std::min(n_slots, (queries.end + offset + 255) / 256 * 256); }
};

std::optional<RingRun> find(WindowRings& rings, const Ring& ring, Range queries) {
  const Pos n_kv = ring.n_kv(queries);
  const auto mask = ring.mask(queries, n_kv);
  return rings.find(&rings, {mask.data(), DType::f16, n_kv * 2}, queries.size(), n_kv);
}

TEST(WindowRings, TellPositionsFromTheFirstBatchOn) {
  for (const Pos offset : {0, 200, 500}) {
    const Ring ring{.offset = offset};
    WindowRings rings;
    for (const Range queries : {Range{0, 150}, Range{150, 151}, Range{151, 300}, Range{300, 640}, Range{640, 641},
                                Range{641, 642}, Range{642, 1000}, Range{1000, 1412}}) {
      const auto run = find(rings, ring, queries);
      ASSERT_TRUE(run) << offset << ": " << queries.begin;
      EXPECT_EQ(run->q_begin, queries.begin);
      EXPECT_EQ(run->width, 100);
      for (Pos p = run->keys().begin; p < queries.end; ++p) EXPECT_EQ(run->slot(p), ring.slot(p));
    }
  }
}

TEST(WindowRings, GoOnFromACausalRun) {
  const Ring ring{.window = 300};
  WindowRings rings;
  rings.saw_causal(&rings, 300);
  const auto run = find(rings, ring, {300, 301});
  ASSERT_TRUE(run);
  EXPECT_EQ(run->q_begin, 300);
  EXPECT_EQ(run->keys(), (Range{1, 301}));
}

TEST(WindowRings, DoNotGuess) {
  const Ring ring;
  WindowRings rings;
  EXPECT_FALSE(find(rings, ring, {300, 350})) << "a session restored in the middle";
  EXPECT_TRUE(find(rings, ring, {60, 150})) << "while rows still grow, all positions are in view";
  EXPECT_FALSE(find(rings, ring, {151, 152})) << "a position was left out";
  EXPECT_FALSE(find(rings, ring, {152, 153})) << "and so nothing is known";
  ASSERT_TRUE(find(rings, ring, {0, 150}));
  rings.lose(&rings);
  EXPECT_FALSE(find(rings, ring, {150, 151}));

  auto mask = ring.mask({0, 150}, 256);
  const auto ask = [&] { return rings.find(&rings, {mask.data(), DType::f16, 512}, 150, 256).has_value(); };
  EXPECT_TRUE(ask());
  mask[140 * 256 + 90] = 0xFC00;
  EXPECT_FALSE(ask()) << "a hole";
  mask[140 * 256 + 90] = 0x3C00;
  EXPECT_FALSE(ask()) << "a bias";
}

/// Behind as many visible keys as the hint says, a mask may hold anything.
TEST(WindowRings, DoNotReadBehindTheHint) {
  const Ring ring;
  WindowRings rings;
  auto mask = ring.mask({0, 150}, 256);
  for (Pos q = 99; q < 150; ++q) mask[static_cast<std::size_t>(q * 256 + q + 1)] = 0x7E00;
  EXPECT_TRUE(rings.find(&rings, {mask.data(), DType::f16, 512}, 150, 256, 100));
}

/// Attention of one sliding-window layer over a text that comes in batches, as llama.cpp hands it to a backend.
class WindowLayer {
 public:
  static constexpr Pos kDim = 64, kHeads = 4, kKvHeads = 2, kRow = kKvHeads * kDim;

  WindowLayer(const Ring& ring, Pos n_positions) : ring_(ring) {
    context_ = ggml_init({ggml_tensor_overhead() * 4, nullptr, true});
    k_ = ggml_new_tensor_2d(context_, GGML_TYPE_F16, kRow, ring.n_slots);
    v_ = ggml_new_tensor_2d(context_, GGML_TYPE_F16, kRow, ring.n_slots);
    buffer_ = ggml_backend_alloc_ctx_tensors_from_buft(context_, ggml_backend_cpu_buffer_type());
    Random random(5);
    for (Pos i = 0; i < n_positions * kHeads * kDim; ++i) q.push_back(random.normal());
    for (auto* all : {&k, &v}) {
      for (Pos i = 0; i < n_positions * kRow; ++i) all->push_back(encode_f16(random.normal()));
    }
  }
  ~WindowLayer() {
    ggml_backend_buffer_free(buffer_);
    ggml_free(context_);
  }
  WindowLayer(const WindowLayer&) = delete;
  WindowLayer& operator=(const WindowLayer&) = delete;

  void run(ggml_backend_t backend, Range queries) {
    for (Pos p = queries.begin; p < queries.end; ++p) {
      std::memcpy(static_cast<std::byte*>(k_->data) + ring_.slot(p) * kRow * 2, k.data() + p * kRow, kRow * 2);
      std::memcpy(static_cast<std::byte*>(v_->data) + ring_.slot(p) * kRow * 2, v.data() + p * kRow, kRow * 2);
    }
    const Pos n = queries.size(), n_kv = ring_.n_kv(queries);
    ggml_context* context = ggml_init({ggml_tensor_overhead() * 16 + ggml_graph_overhead(), nullptr, true});
    const auto of_cache = [&](ggml_tensor* cache) {
      return ggml_permute(context, ggml_view_3d(context, cache, kDim, kKvHeads, n_kv, kDim * 2, kRow * 2, 0), 0, 2, 1,
                          3);
    };
    ggml_tensor* q_rows = ggml_new_tensor_3d(context, GGML_TYPE_F32, kDim, kHeads, n);
    ggml_tensor* mask = ggml_new_tensor_2d(context, GGML_TYPE_F16, n_kv, n);
    ggml_tensor* node = ggml_flash_attn_ext(context, ggml_permute(context, q_rows, 0, 2, 1, 3), of_cache(k_),
                                            of_cache(v_), mask, 0.125F, 0.0F, 0.0F);
    ggml_set_name(node, "__fattn__-6");
    ggml_cgraph* graph = ggml_new_graph(context);
    ggml_build_forward_expand(graph, node);
    const ggml_backend_buffer_t buffer =
        ggml_backend_alloc_ctx_tensors_from_buft(context, ggml_backend_cpu_buffer_type());
    std::memcpy(q_rows->data, q.data() + queries.begin * kHeads * kDim, ggml_nbytes(q_rows));
    const auto values = ring_.mask(queries, n_kv);
    std::memcpy(mask->data, values.data(), ggml_nbytes(mask));
    EXPECT_EQ(ggml_backend_graph_compute(backend, graph), GGML_STATUS_SUCCESS);
    o.assign(static_cast<const float*>(node->data), static_cast<const float*>(node->data) + ggml_nelements(node));
    ggml_backend_buffer_free(buffer);
    ggml_free(context);
  }

  /// The keys as one long cache.
  View all_keys(const std::vector<std::uint16_t>& rows, Pos len) const {
    return {rows.data(), DType::f16, len, kKvHeads, kDim, kRow * 2, kDim * 2};
  }

  std::vector<float> q, o;
  std::vector<std::uint16_t> k, v;

 private:
  Ring ring_;
  ggml_context* context_ = nullptr;
  ggml_backend_buffer_t buffer_ = nullptr;
  ggml_tensor *k_ = nullptr, *v_ = nullptr;
};

/// Asks the same of a call as it is shown and of the same queries over a cache that was never overwritten.
class CheckingJudge final : public llama::Judge {
 public:
  explicit CheckingJudge(const WindowLayer& layer) : layer_(layer) { llama::set_judge(this); }
  ~CheckingJudge() override { llama::set_judge(nullptr); }
  bool wants_lse() const override { return true; }
  bool wants_windows() const override { return true; }
  void miss(int layer, Pos n_queries) override {
    EXPECT_EQ(layer, 6);
    n_missed += n_queries;
  }
  void look(const llama::JudgedCall& judged) override {
    n_seen += judged.call.q.len;
    windows.push_back(judged.window);
    AttendCall plain = judged.call;
    plain.k = layer_.all_keys(layer_.k, plain.k.len);
    plain.v = layer_.all_keys(layer_.v, plain.k.len);
    const auto window = make_where(where::Window{100});
    const Where* const where = window.get();
    plain.where = {&where, 1};
    EXPECT_EQ(entropies(judged.call, judged.team), entropies(plain, judged.team));
  }

  Pos n_seen = 0, n_missed = 0;
  std::vector<Pos> windows;

 private:
  static std::vector<float> entropies(const AttendCall& call, Team& team) {
    see::Entropy entropy;
    Probe* const probes[] = {&entropy};
    Workspace workspace;
    look_at(call, probes, team, workspace);
    EXPECT_EQ(entropy.values().q_positions(), (Range{call.q_begin, call.q_begin + call.q.len}));
    const auto values = entropy.values().head(3);
    return {values.begin(), values.end()};
  }
  static void look_at(const AttendCall& call, std::span<Probe* const> probes, Team& team, Workspace& workspace) {
    saccade::look(call, call.lse, probes, team, workspace);
  }
  const WindowLayer& layer_;
};

TEST(Windows, AJudgeSeesALayerThroughoutAText) {
  WindowLayer layer({}, 1200), unseen({}, 1200);
  CheckingJudge judge(layer);
  const Range batches[] = {{0, 90},    {90, 300},  {300, 301},  {301, 600},
                           {600, 601}, {601, 602}, {602, 1000}, {1000, 1200}};
  ggml_backend_t ours = our_backend("dense", 2);
  for (const Range queries : batches) layer.run(ours, queries);
  EXPECT_EQ(judge.n_seen, 1200);
  EXPECT_EQ(judge.n_missed, 0);
  EXPECT_EQ(judge.windows, (std::vector<Pos>{0, 100, 100, 100, 100, 100, 100, 100}));
  const std::vector<float> seen = layer.o;
  llama::set_judge(nullptr);
  for (const Range queries : batches) unseen.run(ours, queries);
  EXPECT_EQ(unseen.o, seen) << "to the bit";
}

TEST(Windows, WhatCannotBeToldIsMissed) {
  WindowLayer layer({}, 400);
  CheckingJudge judge(layer);
  layer.run(our_backend("dense", 2), {300, 400});
  EXPECT_EQ(judge.n_seen, 0);
  EXPECT_EQ(judge.n_missed, 100);
}

}  // namespace
}  // namespace saccade::testing
