// What linear() promises beside its numbers: bits, NaN, several matrices, errors.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <new>
#include <string>
#include <tuple>

#include "saccade/kernel/linear.h"
#include "saccade/linear/panels.h"
#include "tests/linear/linear_case.h"
#include "tests/support/attend_case.h"
#include "tests/support/error_line.h"
#include "tests/support/thorough.h"

namespace saccade::testing {
namespace {

/// In each precision; bf16 is emulated where there is no matrix unit.
class Linear : public ::testing::TestWithParam<Precision> {
 protected:
  void SetUp() override {
    if (!kernel::has_linear()) GTEST_SKIP() << "this CPU has no AVX-512 VNNI";
  }
  static LinearCase in_precision(LinearCase c) {
    c.precision = GetParam();
    return c;
  }
};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<float> token_of(const std::vector<float>& y, Pos t, Pos n_rows) {
  return {y.begin() + t * n_rows, y.begin() + (t + 1) * n_rows};
}

TEST_P(Linear, TheTeamChangesNoBit) {
  for (const Pos n_tokens : {40, 300, 1500}) {
    const LinearProblem problem(
        in_precision({.seed = 1, .type = ParamFormat::q4_0, .n_tokens = n_tokens, .n_rows = 70, .dim = 544}));
    const std::vector<float> alone = problem.run(1);
    for (const int team : {2, 3, 7}) EXPECT_TRUE(same_bits(problem.run(team), alone)) << n_tokens << ", team " << team;
  }
}

TEST_P(Linear, ATokensBitsDependOnNoOtherToken) {
  const LinearCase c{.seed = 2, .type = ParamFormat::q6_k, .n_tokens = 1100, .n_rows = 65, .dim = 768, .team = 2};
  const LinearProblem many(in_precision(c));
  const std::vector<float> together = many.run();
  for (const Pos t : {0, 5, 549, 550, 1099}) {
    std::vector<float> y(65);
    const LinearProduct product{many.params(), y.data(), 65};
    LinearWorkspace workspace;
    linear({many.inputs().token(t), 768, 1, 768, {&product, 1}, GetParam()}, team_of(1), workspace);
    EXPECT_TRUE(same_bits(y, token_of(together, t, 65))) << t;
  }
}

TEST_P(Linear, LongTokensAndManyOfThem) {
  const LinearCase c{.seed = 3, .type = ParamFormat::q4_k, .n_tokens = 1030, .n_rows = 64, .dim = 4096, .team = 2};
  const LinearProblem problem(in_precision(c));
  const std::vector<float> y = problem.run();
  for (const Pos t : {0, 514, 515, 1029}) {
    const std::vector<float> row = token_of(y, t, c.n_rows);
    EXPECT_TRUE(judge(problem.expect(t), row, nullptr, c.seed)) << t;
  }
}

TEST_P(Linear, NaNAndInfStayInTheirToken) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  for (const float poison : {nan, inf, -inf}) {
    const LinearCase c{.seed = 4, .type = ParamFormat::q8_0, .n_tokens = 50, .n_rows = 80, .dim = 608, .team = 2};
    LinearProblem problem(in_precision(c));
    const std::vector<float> before = problem.run();
    std::vector<float> token(problem.inputs().token(17), problem.inputs().token(17) + c.dim);
    token[300] = poison;
    problem.set_token(17, token);
    const std::vector<float> after = problem.run();
    for (Pos t = 0; t < c.n_tokens; ++t) {
      const std::vector<float> row = token_of(after, t, c.n_rows);
      if (t != 17) EXPECT_TRUE(same_bits(row, token_of(before, t, c.n_rows))) << t;
      for (const float y : row) EXPECT_EQ(std::isfinite(y), t != 17) << t;
    }
  }
}

TEST_P(Linear, NaNInParametersStaysInItsRow) {
  const LinearCase c{.seed = 5, .type = ParamFormat::bf16, .n_tokens = 9, .n_rows = 70, .dim = 300};
  const LinearProblem problem(in_precision(c));
  std::vector<std::byte> params(static_cast<std::size_t>(70 * 600));
  std::memcpy(params.data(), problem.params().data, params.size());
  const std::uint16_t nan = 0x7fc0;
  std::memcpy(params.data() + 66 * 600 + 2 * 299, &nan, sizeof nan);
  std::vector<float> y(9 * 70);
  const LinearProduct product{{params.data(), ParamFormat::bf16, 70, 300, 600}, y.data(), 70};
  LinearWorkspace workspace;
  linear({problem.inputs().x.data(), 300, 9, 300, {&product, 1}, GetParam()}, team_of(2), workspace);
  const std::vector<float> clean = problem.run();
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (i % 70 == 66) {
      EXPECT_TRUE(std::isnan(y[i])) << i;
    } else {
      EXPECT_EQ(y[i], clean[i]) << i;
    }
  }
}

TEST_P(Linear, VeryLargeAndVerySmallTokens) {
  const LinearCase c{.seed = 6, .type = ParamFormat::q4_0, .n_tokens = 8, .n_rows = 33, .dim = 512};
  LinearProblem problem(in_precision(c));
  const std::vector<float> y = problem.run();
  const float gains[] = {1.0F, 0x1p90F, 0x1p60F, 0x1p-60F, 0x1p-80F, 0x1p-90F, 0.0F, 0x1p-140F};
  for (Pos t = 0; t < c.n_tokens; ++t) {
    std::vector<float> token(problem.inputs().token(t), problem.inputs().token(t) + c.dim);
    for (float& x : token) x *= gains[t];
    problem.set_token(t, token);
  }
  const std::vector<float> scaled = problem.run();
  for (Pos t = 0; t < c.n_tokens; ++t) {
    const std::vector<float> row = token_of(scaled, t, c.n_rows);
    if (t < 6) EXPECT_TRUE(judge(problem.expect(t), row, nullptr, c.seed)) << t;
    if (t >= 6) EXPECT_TRUE(same_bits(row, std::vector<float>(33, 0.0F))) << t;
  }
}

/// Tokens that lie along a row give the largest sums there are: 46,000 squared, short of 2^31.
TEST_P(Linear, ParallelVectorsDoNotOverflow) {
  for (const bool spikes : {false, true}) {
    const LinearCase c{
        .seed = 11, .type = ParamFormat::bf16, .n_tokens = 12, .n_rows = 20, .dim = 700, .spikes = spikes};
    LinearProblem problem(in_precision(c));
    for (Pos t = 0; t < c.n_tokens; ++t) {
      std::vector<float> token(problem.inputs().row(t), problem.inputs().row(t) + c.dim);
      for (float& x : token) x *= t % 2 == 0 ? 3.0F : -5.0F;
      problem.set_token(t, token);
    }
    const std::vector<float> y = problem.run();
    for (Pos t = 0; t < c.n_tokens; ++t) {
      EXPECT_TRUE(judge(problem.expect(t), token_of(y, t, c.n_rows), nullptr, c.seed)) << t << ", spikes " << spikes;
    }
  }
}

TEST_P(Linear, SeveralMatricesAreEachOnItsOwn) {
  const LinearCase c{.seed = 7, .type = ParamFormat::q4_0, .n_tokens = 200, .n_rows = 130, .dim = 288, .team = 2};
  LinearCase d = c;
  d.seed = 8, d.type = ParamFormat::q8_0, d.n_rows = 40;
  const LinearProblem first(in_precision(c)), second(in_precision(d));
  std::vector<float> y1(200 * 130), y2(200 * 40), alone(200 * 40);
  const LinearProduct products[] = {{first.params(), y1.data(), 130}, {second.params(), y2.data(), 40}};
  const LinearProduct only{second.params(), alone.data(), 40};
  LinearWorkspace workspace;
  linear({first.inputs().x.data(), 288, 200, 288, products, GetParam()}, team_of(2), workspace);
  EXPECT_TRUE(same_bits(y1, first.run()));
  linear({first.inputs().x.data(), 288, 200, 288, {&only, 1}, GetParam()}, team_of(2), workspace);
  EXPECT_TRUE(same_bits(y2, alone));
}

TEST_P(Linear, NothingToDo) {
  LinearWorkspace workspace;
  const LinearProblem problem({.seed = 9, .dim = 256});
  float y = -1.0F;
  const LinearProduct product{problem.params(), &y, 1};
  linear({problem.inputs().x.data(), 256, 0, 256, {&product, 1}, GetParam()}, team_of(1), workspace);
  linear({problem.inputs().x.data(), 256, 1, 256, {}, GetParam()}, team_of(1), workspace);
  EXPECT_EQ(y, -1.0F);
}

TEST_P(Linear, Errors) {
  LinearWorkspace workspace;
  const LinearProblem problem({.seed = 10, .type = ParamFormat::q4_k, .n_tokens = 2, .n_rows = 3, .dim = 256});
  std::vector<float> y(6);
  LinearProduct product{problem.params(), y.data(), 3};
  LinearCall call{problem.inputs().x.data(), 256, 2, 256, {&product, 1}, GetParam()};
  const auto line = [&] { return error_line([&] { linear(call, team_of(1), workspace); }); };
  EXPECT_EQ(line(), "no error");
  call.x_stride = 255;
  EXPECT_EQ(line(), "linear: x_stride must be >= dim 256, got 255");
  call.x_stride = 256, product.y_stride = 2;
  EXPECT_EQ(line(), "linear: y_stride must be >= n_rows 3, got 2");
  product.y_stride = 3, product.params.dim = 512;
  EXPECT_EQ(line(), "linear: params must be 256 wide, as x is, got 512");
  product.params.dim = 256, product.params.type = ParamFormat::q4_0x8;
  EXPECT_EQ(line(), "linear: params of type q4_0x8 come in 8 rows at a time, got 3");
  product.params.type = ParamFormat::q4_k, product.params.dim = call.dim = 100;
  EXPECT_EQ(line(), "linear: params of type q4_k, 100 wide, are not for this CPU");
  call.dim = 0;
  EXPECT_EQ(line(), "linear: n_tokens must be >= 0 and dim >= 1, got 2 and 0");
  call.dim = 256, call.precision = Precision::kF32;
  EXPECT_EQ(line(), "linear: precision must be auto, i16 or bf16, got f32");
}

INSTANTIATE_TEST_SUITE_P(In, Linear, ::testing::Values(Precision::kI16, Precision::kBf16),
                         [](const auto& test) { return std::string(name_of(test.param)); });

/// A matrix of each number of terms, in one call: tokens are rounded anew for each.
TEST(LinearTiles, MatricesOfAllTypesMayMultiplyTheSameTokens) {
  if (!kernel::has_linear()) GTEST_SKIP() << "this CPU has no AVX-512 VNNI";
  std::vector<LinearProblem> problems;
  std::vector<LinearProduct> products;
  std::vector<std::vector<float>> results;
  for (const ParamFormat type : {ParamFormat::f16, ParamFormat::q4_0, ParamFormat::bf16, ParamFormat::q8_0}) {
    problems.push_back(LinearProblem({.seed = 12 + static_cast<std::uint64_t>(type),
                                      .type = type,
                                      .n_tokens = 40,
                                      .n_rows = 50,
                                      .dim = 320,
                                      .precision = Precision::kBf16}));
    results.emplace_back(40 * 50);
  }
  for (std::size_t i = 0; i < problems.size(); ++i) products.push_back({problems[i].params(), results[i].data(), 50});
  LinearWorkspace workspace;
  linear({problems[0].inputs().x.data(), 320, 40, 320, products, Precision::kBf16}, team_of(2), workspace);
  for (std::size_t i = 0; i < problems.size(); ++i) {
    std::vector<float> alone(40 * 50);
    const LinearProduct product{problems[i].params(), alone.data(), 50};
    LinearWorkspace own;
    linear({problems[0].inputs().x.data(), 320, 40, 320, {&product, 1}, Precision::kBf16}, team_of(1), own);
    EXPECT_TRUE(same_bits(results[i], alone)) << block_of(problems[i].shape().type).name;
  }
}

/// Rows longer than a panel is wide are cut, and more rows than a panel holds: neither changes what comes out.
TEST(LinearTiles, LongRowsAndManyOfThem) {
  if (!kernel::has_linear()) GTEST_SKIP() << "this CPU has no AVX-512 VNNI";
  for (const auto& [type, n_rows, dim] : {std::tuple<ParamFormat, Pos, Pos>{ParamFormat::q4_k, 800, 2560},
                                          {ParamFormat::q8_0, 200, 2304},
                                          {ParamFormat::q8_0, 200, 2336},
                                          {ParamFormat::f16, 170, 1000},
                                          {ParamFormat::bf16, 300, 1153},
                                          {ParamFormat::q4_0, 1600, 288}}) {
    const LinearCase c{.seed = 13,
                       .type = type,
                       .n_tokens = 45,
                       .n_rows = n_rows,
                       .dim = dim,
                       .y_gap = 5,
                       .team = 2,
                       .precision = Precision::kBf16};
    const LinearProblem problem(c);
    const std::vector<float> y = problem.run();
    for (const Pos t : {0, 31, 32, 44}) {
      EXPECT_TRUE(judge(problem.expect(t), token_of(y, t, n_rows), nullptr, c.seed)) << c << ", token " << t;
    }
    EXPECT_TRUE(same_bits(problem.run(1), y)) << c;
  }
}

/// A token that holds what bf16 has no number for gives nothing finite, and no other token knows.
TEST(LinearTiles, WhatRoundsToInfinityIsInfinite) {
  if (!kernel::has_linear()) GTEST_SKIP() << "this CPU has no AVX-512 VNNI";
  const LinearCase c{.seed = 14, .n_tokens = 20, .n_rows = 33, .dim = 256, .precision = Precision::kBf16};
  LinearProblem problem(c);
  const std::vector<float> before = problem.run();
  std::vector<float> token(256, 0.0F);
  token[3] = std::numeric_limits<float>::max();
  problem.set_token(5, token);
  const std::vector<float> after = problem.run();
  for (Pos t = 0; t < 20; ++t) {
    if (t != 5) EXPECT_TRUE(same_bits(token_of(after, t, 33), token_of(before, t, 33))) << t;
    for (const float y : token_of(after, t, 33)) EXPECT_EQ(std::isfinite(y), t != 5) << t;
  }
}

TEST(LinearTiles, PanelsFitTheCacheAndCutBetweenBlocks) {
  for (const int terms : {1, 2, 3}) {
    for (const Pos dim : {1, 32, 300, 896, 1153, 2304, 2305, 8960, 53248}) {
      for (const Pos n_rows : {1, 33, 896, 8960, 152064}) {
        for (const Pos workers : {1, 2, 7, 64}) {
          const auto shape = saccade::detail::panel_shape(n_rows, dim, terms, workers);
          EXPECT_LE(shape.n_rows * shape.n_dims * terms * 2, 768 << 10) << dim << ", terms " << terms;
          EXPECT_GE(shape.n_rows, 128);
          EXPECT_EQ(shape.n_rows % 32, 0);
          EXPECT_EQ(shape.n_dims % 32, 0);
          if (shape.n_dims < dim && terms == 1) EXPECT_EQ(shape.n_dims % 256, 0);
        }
      }
    }
  }
}

TEST(LinearPrecision, AutoIsTilesWhereThereIsAMatrixUnit) {
  on_every_target([](const std::string& target) {
    EXPECT_EQ(linear_precision(), target == "AMX" ? Precision::kBf16 : Precision::kI16) << target;
    for (const Precision asked : {Precision::kI16, Precision::kBf16}) EXPECT_EQ(linear_precision(asked), asked);
  });
}

/// Tokens so long that no machine has room for them rounded: nothing is read, nothing written.
TEST_P(Linear, MemoryThatIsNotThereIsAnErrorBeforeAnythingIsWritten) {
  if (kThinning > 1) GTEST_SKIP() << "a sanitizer's allocator ends the process";
  constexpr Pos kDim = Pos{1} << 46;
  std::byte params{};
  float x = 0, y[2] = {-1.0F, -1.0F};
  const LinearProduct product{{&params, ParamFormat::f16, 1, kDim, 2 * kDim}, y, 1};
  LinearWorkspace workspace;
  EXPECT_THROW(linear({&x, kDim, 2, kDim, {&product, 1}, GetParam()}, team_of(2), workspace), std::bad_alloc);
  EXPECT_EQ(y[0], -1.0F);
  EXPECT_EQ(y[1], -1.0F);
}

TEST(LinearTarget, ALesserTargetDeclines) {
  on_every_target([](const std::string& target) {
    if (target != "AVX3" && target != "AMX") EXPECT_FALSE(can_multiply(ParamFormat::q4_0, 256)) << target;
  });
}

}  // namespace
}  // namespace saccade::testing
