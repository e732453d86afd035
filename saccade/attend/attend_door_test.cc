// What attend() refuses, and how; what it counts.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "saccade/attend/attend.h"
#include "saccade/base/error.h"
#include "tests/support/any_case.h"

namespace saccade {
namespace {

using testing::AttendCase;
using testing::kKvTypes;
using testing::kQTypes;
using testing::Layout;
using testing::Output;
using testing::Problem;
using testing::team_of;
using testing::used_workspace;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

TEST(CanAttend, DeclinesWhatItDoesNotDo) {
  for (Pos head_dim = -8; head_dim <= 600; ++head_dim) {
    const bool plain = head_dim >= 32 && head_dim <= 576 && head_dim % 8 == 0;
    for (const DType q : kQTypes) {
      for (const DType k : kKvTypes) {
        for (const DType v : kKvTypes) {
          EXPECT_EQ(can_attend(q, k, v, head_dim, 64), plain && head_dim % block_len(k) == 0) << head_dim;
          EXPECT_EQ(can_attend(q, k, v, 64, head_dim), plain && head_dim % block_len(v) == 0) << head_dim;
        }
      }
    }
    EXPECT_FALSE(can_attend(DType::q8_0, DType::f16, DType::f16, head_dim, head_dim));
    EXPECT_FALSE(can_attend(DType::q4_0, DType::f16, DType::f16, head_dim, head_dim));
  }
}

TEST(DensePairs, CountsTheTriangle) {
  EXPECT_EQ(dense_pairs(0, 4, 4, 1), 10);
  EXPECT_EQ(dense_pairs(0, 4, 4, 3), 30);
  EXPECT_EQ(dense_pairs(10, 1, 11, 2), 22);
  EXPECT_EQ(dense_pairs(10, 1, 5, 1), 5) << "there are no more keys than there are";
  EXPECT_EQ(dense_pairs(0, 4, 2, 1), 7);
  EXPECT_EQ(dense_pairs(3, 0, 2, 1), 0);
  EXPECT_EQ(dense_pairs(0, 65'537, 65'537, 64), 64LL * 65'537 * 65'538 / 2);
}

/// A good call, to be broken one way at a time.
struct GoodCall {
  GoodCall() {
    problem.emplace(AttendCase{.q_len = 3, .kv_len = 40, .n_heads = 4, .n_kv_heads = 2, .head_dim = 64});
    call = {.q = problem->q.view(), .k = problem->k.view(), .v = problem->v.view(), .o = out.view(), .lse = out.lse()};
    call.where = one;
    call.scale = 0.125F;
  }
  std::string line() {
    try {
      attend(call, team_of(1), used_workspace());
    } catch (const Error& error) {
      EXPECT_EQ(error.fault(), Fault::kUser);
      EXPECT_TRUE(std::isnan(out.lse(0, 0)) && std::isnan(out.o(2, 3)[63])) << "a refused call wrote something";
      return error.what();
    }
    return "no error";
  }

  std::optional<Problem> problem;
  Output out{3, 4, 64, Layout::kTokenMajor};
  WherePtr dense = make_where(where::Dense{});
  const Where* one[4] = {dense.get(), dense.get(), dense.get(), dense.get()};
  AttendCall call;
};

TEST(Attend, BadCallsAreRefusedInOneLine) {
  const auto refused = [](const char* what, auto&& spoil) {
    GoodCall good;
    spoil(good);
    const std::string line = good.line();
    EXPECT_THAT(line, ::testing::StartsWith("attend: ")) << what;
    EXPECT_THAT(line, ::testing::Not(::testing::HasSubstr("\n"))) << what;
    EXPECT_LT(line.size(), 200U) << what;
  };
  const auto spans = [](GoodCall& good, std::size_t n) { good.call.where = std::span(good.one).first(n); };
  EXPECT_EQ(GoodCall().line(), "no error");
  refused("no where", [&](GoodCall& good) { spans(good, 0); });
  refused("two wheres for four heads", [&](GoodCall& good) { spans(good, 2); });
  refused("head_dim 60",
          [](GoodCall& good) { good.call.q.dim = good.call.k.dim = good.call.v.dim = good.call.o.dim = 60; });
  refused("head_dim 0",
          [](GoodCall& good) { good.call.q.dim = good.call.k.dim = good.call.v.dim = good.call.o.dim = 0; });
  refused("q of another width", [](GoodCall& good) { good.call.q.dim = 32; });
  refused("v of another width", [](GoodCall& good) { good.call.v.dim = 32; });
  refused("o of another width", [](GoodCall& good) { good.call.o.dim = 32; });
  refused("q in q8_0", [](GoodCall& good) { good.call.q.dtype = DType::q8_0; });
  refused("q8_0 keys of width 40", [](GoodCall& good) {
    good.call.q.dim = good.call.k.dim = good.call.v.dim = good.call.o.dim = 40;
    good.call.k.dtype = DType::q8_0;
  });
  refused("v shorter than k", [](GoodCall& good) { good.call.v.len = 39; });
  refused("v with fewer heads than k", [](GoodCall& good) { good.call.v.n_heads = 1; });
  refused("o shorter than q", [](GoodCall& good) { good.call.o.len = 2; });
  refused("o with fewer heads than q", [](GoodCall& good) { good.call.o.n_heads = 2; });
  refused("no kv heads", [](GoodCall& good) { good.call.k.n_heads = good.call.v.n_heads = 0; });
  static const int short_table[] = {0, 1, 1}, beyond[] = {0, 1, 2, 1}, negative[] = {0, -1, 1, 1};
  refused("a short table", [](GoodCall& good) { good.call.kv_head = short_table; });
  refused("a table beyond the heads", [](GoodCall& good) { good.call.kv_head = beyond; });
  refused("a negative head", [](GoodCall& good) { good.call.kv_head = negative; });
  refused("a bias of a type that is none", [](GoodCall& good) {
    static const std::vector<float> zeros(120);
    good.call.bias = {zeros.data(), DType::q8_0, 160};
  });
  static const float three[] = {1.0F, 2.0F, 3.0F}, sick[] = {1.0F, 2.0F, kNaN, 3.0F};
  refused("a slope too few", [](GoodCall& good) { good.call.slopes = three; });
  refused("a slope that is NaN", [](GoodCall& good) { good.call.slopes = sick; });
  refused("a sink score too few", [](GoodCall& good) { good.call.sink_scores = three; });
  refused("values wider than any", [](GoodCall& good) { good.call.v.dim = good.call.o.dim = 584; });
  refused("q4_0 values of width 40", [](GoodCall& good) {
    good.call.v.dim = good.call.o.dim = 40;
    good.call.v.dtype = DType::q4_0;
  });
  refused("scale NaN", [](GoodCall& good) { good.call.scale = kNaN; });
  refused("softcap negative", [](GoodCall& good) { good.call.softcap = -1.0F; });
  refused("a position before zero", [](GoodCall& good) { good.call.q_begin = -1; });
}

}  // namespace
}  // namespace saccade
