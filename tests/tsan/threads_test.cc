// Whatever the library does on several threads, once each: every mechanism that a spec may name, every precision,
// splits over keys, a mask, a second look; linear layers. Run anywhere, it says that a repeated call gives the same
// bits; under the thread sanitizer it is what is looked at.
#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "saccade/attend/look.h"
#include "saccade/base/error.h"
#include "saccade/base/random.h"
#include "saccade/kernel/bf16.h"
#include "saccade/linear/experts.h"
#include "saccade/linear/linear.h"
#include "saccade/plan/catalogue.h"
#include "saccade/plan/planned.h"
#include "saccade/see/block_sums.h"
#include "saccade/see/column_sums.h"
#include "saccade/see/diagonals.h"
#include "saccade/see/entropy.h"
#include "saccade/see/top_keys.h"
#include "saccade/where/dense.h"

namespace saccade {
namespace {

constexpr Pos kHeads = 4, kKvHeads = 2, kDim = 32;

std::vector<float> random_floats(Pos n, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> floats(static_cast<std::size_t>(n));
  for (float& x : floats) x = static_cast<float>(random.between(-1000, 1000)) / 500.0F;
  return floats;
}

View view_of(const std::vector<float>& data, Pos n_heads) {
  const Pos len = static_cast<Pos>(data.size()) / n_heads / kDim;
  return {data.data(), DType::f32, len, n_heads, kDim, n_heads * kDim * 4, kDim * 4};
}

/// Queries, keys and values; runs calls on three threads whose memory is used again and again.
class Threads : public ::testing::Test {
 protected:
  PlannedCall call_of(Pos q_len, Pos kv_len, std::vector<float>& o) {
    q_ = random_floats(q_len * kHeads * kDim, 1);
    k_ = random_floats(kv_len * kKvHeads * kDim, 2);
    v_ = random_floats(kv_len * kKvHeads * kDim, 3);
    o.assign(q_.size(), -1);
    lse_.resize(static_cast<std::size_t>(q_len * kHeads));
    PlannedCall call;
    call.attend.q = view_of(q_, kHeads), call.attend.k = view_of(k_, kKvHeads), call.attend.v = view_of(v_, kKvHeads);
    call.attend.o = {o.data(), q_len, kHeads, kDim, kHeads * kDim * 4, kDim * 4};
    call.attend.lse = lse_.data();
    call.attend.scale = 0.2F;
    call.attend.q_begin = kv_len - q_len;
    call.attend.precision = Precision::kF32;
    call.fallbacks = false;  // however short the text
    return call;
  }

  /// Twice the same call on the same memory: the same bits.
  void expect_steady(const std::string& spec, PlannedCall call, std::vector<float>& o) {
    const Plan plan = Plan::from_spec(spec);
    attend(plan, call, *team_, workspace_);
    const std::vector<float> first = o;
    attend(plan, call, *team_, workspace_);
    EXPECT_EQ(std::memcmp(first.data(), o.data(), o.size() * sizeof(float)), 0) << spec;
  }

  std::unique_ptr<Team> team_ = make_thread_team(3);
  Workspace workspace_;
  std::vector<float> q_, k_, v_, lse_;
};

TEST_F(Threads, EveryMechanism) {
  for (const MechanismInfo* info : choices()) {
    // A reviewer looks at what another one chose.
    const std::string spec = std::string(info->name) + (info->kind == MechanismKind::kReviewer ? "+window(64)" : "");
    std::vector<float> o;
    expect_steady(spec, call_of(300, 300, o), o);
    if (info->kind != MechanismKind::kSelector || !info->traits.decode) continue;
    LayerMemory memory;
    PlannedCall step = call_of(1, 300, o);
    step.memory = &memory;
    expect_steady(spec, step, o);
  }
}

TEST_F(Threads, EveryPrecision) {
  for (const Precision precision : {Precision::kF32, Precision::kI16, Precision::kBf16}) {
    try {
      check_precision(precision);
    } catch (const Error&) {
      continue;  // this CPU has no such
    }
    std::vector<float> o;
    PlannedCall call = call_of(200, 400, o);
    call.attend.precision = precision;
    expect_steady("dense", call, o);
  }
}

TEST_F(Threads, KeysSharedOutAndMasks) {
  std::vector<float> o;
  expect_steady("dense", call_of(1, 3000, o), o);
  PlannedCall call = call_of(60, 90, o);
  const std::vector<float> mask = random_floats(60 * 90, 4);
  call.attend.bias = {mask.data(), DType::f32, 90 * 4};
  expect_steady("dense", call, o);
}

TEST_F(Threads, ASecondLook) {
  std::vector<float> o;
  PlannedCall call = call_of(200, 600, o);
  expect_steady("dense", call, o);
  const WherePtr dense = make_where(where::Dense{});
  const Where* const where = dense.get();
  call.attend.where = {&where, 1};
  const auto seen_by = [&](Team& team) {
    see::BlockSums blocks;
    see::ColumnSums columns;
    see::Diagonals diagonals;
    see::Entropy entropy;
    see::TopKeys top_keys;
    Probe* const probes[] = {&blocks, &columns, &diagonals, &entropy, &top_keys};
    look(call.attend, lse_.data(), probes, team, workspace_);
    std::vector<double> sums;
    for (int head = 0; head < kHeads; ++head) {
      const auto of_head = columns.sums().head(head);
      sums.insert(sums.end(), of_head.begin(), of_head.end());
    }
    return sums;
  };
  Alone alone;
  for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
    if (precision == Precision::kBf16 && !kernel::has_bf16()) continue;
    call.attend.precision = precision;
    EXPECT_EQ(seen_by(*team_), seen_by(alone)) << name_of(precision);
  }
}

/// Matrix products of tokens, and those of a mixture of experts, twice on the same memory: the same bits.
TEST_F(Threads, MatrixProductsGiveTheSameBits) {
  if (!can_multiply(ParamFormat::bf16, kDim)) GTEST_SKIP() << "this CPU has no AVX-512 VNNI";
  constexpr Pos kRows = 300, kTokens = 200, kExperts = 3;
  const std::vector<float> x = random_floats(kTokens * kDim, 5);
  std::vector<std::uint16_t> params;
  for (const float value : random_floats(kExperts * kRows * kDim, 6))
    params.push_back(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16U));
  std::vector<std::int32_t> experts;
  for (Pos t = 0; t < kTokens; ++t) experts.push_back(static_cast<std::int32_t>(t * t % kExperts));
  const ParamView matrix{params.data(), ParamFormat::bf16, kRows, kDim, kDim * 2};
  const auto team = make_thread_team(3);
  for (const Precision precision : {Precision::kI16, Precision::kBf16}) {
    LinearWorkspace workspace;
    std::vector<float> first, first_experts;
    for (int time = 0; time < 2; ++time) {
      std::vector<float> y(kTokens * kRows), y_experts(kTokens * kRows);
      const LinearProduct product{matrix, y.data(), kRows};
      linear({x.data(), kDim, kTokens, kDim, {&product, 1}, precision}, *team, workspace);
      linear_experts({.x = x.data(),
                      .x_stride = kDim,
                      .experts = experts.data(),
                      .experts_stride = 1,
                      .params = matrix,
                      .expert_stride = kRows * kDim * 2,
                      .n_experts = kExperts,
                      .y = y_experts.data(),
                      .y_stride = kRows,
                      .y_slot_stride = kRows,
                      .n_tokens = kTokens,
                      .n_slots = 1,
                      .precision = precision},
                     *team, workspace);
      if (time == 0) first = y, first_experts = y_experts;
      EXPECT_EQ(y, first) << name_of(precision);
      EXPECT_EQ(y_experts, first_experts) << name_of(precision);
    }
  }
}

}  // namespace
}  // namespace saccade
