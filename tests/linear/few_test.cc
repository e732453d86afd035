// linear_few() over a generated grid against fp64, its error against that of ggml's CPU backend, and what it promises
// beside its numbers.

#include "saccade/linear/few.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

#include "saccade/kernel/linear_few.h"
#include "tests/linear/linear_case.h"
#include "tests/support/attend_case.h"
#include "tests/support/error_line.h"

namespace saccade::testing {
namespace {

std::vector<ParamFormat> formats() {
  std::vector<ParamFormat> all;
  for (int type = 0; type < kParamFormats; ++type)
    if (kernel::is_few(static_cast<ParamFormat>(type))) all.push_back(static_cast<ParamFormat>(type));
  return all;
}

class LinearFew : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!kernel::has_linear()) GTEST_SKIP() << "this CPU has no AVX-512 VNNI";
  }
};

std::vector<float> token_of(const std::vector<float>& y, Pos t, Pos n_rows) {
  return {y.begin() + t * n_rows, y.begin() + (t + 1) * n_rows};
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

struct Errors {
  double ours = 0, ggmls = 0, n = 0;
};

void check_case(const LinearCase& c, Errors& errors) {
  const LinearProblem problem(c);
  const std::vector<float> ours = problem.run(), ggmls = problem.run_ggml();
  for (Pos t = 0; t < c.n_tokens; t += 5) {
    const Expected expected = problem.expect(t);
    EXPECT_TRUE(judge(expected, token_of(ours, t, c.n_rows), nullptr, c.seed)) << c << ", token " << t;
    for (Pos r = 0; r < c.n_rows; ++r) {
      const auto at = static_cast<std::size_t>(t * c.n_rows + r);
      const double exact = expected.exact.o[static_cast<std::size_t>(r)];
      errors.ours += std::pow((ours[at] - exact) / expected.size, 2);
      errors.ggmls += std::pow((ggmls[at] - exact) / expected.size, 2);
      ++errors.n;
    }
  }
  for (const float y : ours) EXPECT_TRUE(std::isfinite(y)) << c;
}

class LinearFewGrid : public LinearFew, public ::testing::WithParamInterface<std::uint64_t> {};

TEST_P(LinearFewGrid, EqualsItsDefinitionAndErrsLessThanGgml) {
  Errors of_type[kParamFormats];
  for (std::uint64_t i = 0; i < 64; ++i) {
    const LinearCase c = draw_few_case(30000 + GetParam() * 64 + i);
    check_case(c, of_type[static_cast<int>(c.type)]);
  }
  for (const ParamFormat type : formats()) {
    const Errors& errors = of_type[static_cast<int>(type)];
    EXPECT_LT(errors.ours, errors.ggmls) << block_of(type).name;
    std::printf("%-6s error in |x| |params|, ours %.1e, ggml %.1e (%.0f numbers)\n", block_of(type).name.data(),
                std::sqrt(errors.ours / errors.n), std::sqrt(errors.ggmls / errors.n), errors.n);
  }
}

INSTANTIATE_TEST_SUITE_P(Shards, LinearFewGrid, ::testing::Range(std::uint64_t{0}, std::uint64_t{8}));

TEST_F(LinearFew, NeitherTeamNorOtherTokensChangeABit) {
  for (const ParamFormat type : formats()) {
    const LinearProblem many({.seed = 1, .type = type, .n_tokens = 23, .n_rows = 203, .dim = 512, .few = true});
    const std::vector<float> together = many.run(1);
    for (const int team : {2, 3, 7}) EXPECT_TRUE(same_bits(many.run(team), together)) << block_of(type).name;
    for (Pos t = 0; t < 23; ++t) {
      std::vector<float> y(203);
      const LinearProduct product{many.params(), y.data(), 203};
      LinearWorkspace workspace;
      linear_few({many.inputs().token(t), 512, 1, 512, {&product, 1}}, team_of(1), workspace);
      EXPECT_TRUE(same_bits(y, token_of(together, t, 203))) << block_of(type).name << ", token " << t;
    }
  }
}

TEST_F(LinearFew, NaNAndInfStayInTheirToken) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  for (const ParamFormat type : formats()) {
    for (const float poison : {nan, inf, -inf}) {
      const LinearCase c{.seed = 2, .type = type, .n_tokens = 9, .n_rows = 30, .dim = 768, .few = true};
      LinearProblem problem(c);
      const std::vector<float> before = problem.run();
      std::vector<float> token(problem.inputs().token(4), problem.inputs().token(4) + c.dim);
      token[300] = poison;
      problem.set_token(4, token);
      const std::vector<float> after = problem.run();
      for (Pos t = 0; t < c.n_tokens; ++t) {
        const std::vector<float> row = token_of(after, t, c.n_rows);
        if (t != 4) EXPECT_TRUE(same_bits(row, token_of(before, t, c.n_rows))) << t;
        for (const float y : row) EXPECT_EQ(std::isfinite(y), t != 4) << block_of(type).name << ", token " << t;
      }
    }
  }
}

TEST_F(LinearFew, NaNInAScaleStaysInItsRow) {
  for (const ParamFormat type : formats()) {
    const LinearProblem problem({.seed = 3, .type = type, .n_tokens = 5, .n_rows = 21, .dim = 256, .few = true});
    const std::ptrdiff_t row = param_bytes(type, 256);
    std::vector<std::byte> params(static_cast<std::size_t>(21 * row));
    std::memcpy(params.data(), problem.params().data, params.size());
    const std::uint16_t nan = 0x7e00;
    std::memcpy(params.data() + 17 * row + (type == ParamFormat::q6_k ? 208 : 0), &nan, sizeof nan);
    std::vector<float> y(5 * 21);
    const LinearProduct product{{params.data(), type, 21, 256, row}, y.data(), 21};
    LinearWorkspace workspace;
    linear_few({problem.inputs().x.data(), 256, 5, 256, {&product, 1}}, team_of(2), workspace);
    const std::vector<float> clean = problem.run();
    for (std::size_t i = 0; i < y.size(); ++i) {
      EXPECT_EQ(std::isnan(y[i]), i % 21 == 17) << i;
      if (i % 21 != 17) EXPECT_EQ(y[i], clean[i]) << i;
    }
  }
}

TEST_F(LinearFew, VeryLargeAndVerySmallTokens) {
  LinearProblem problem({.seed = 4, .type = ParamFormat::q5_1, .n_tokens = 6, .n_rows = 33, .dim = 512, .few = true});
  const float gains[] = {1.0F, 0x1p100F, 0x1p60F, 0x1p-60F, 0.0F, 0x1p-140F};
  for (Pos t = 0; t < 6; ++t) {
    std::vector<float> token(problem.inputs().token(t), problem.inputs().token(t) + 512);
    for (float& x : token) x *= gains[t];
    problem.set_token(t, token);
  }
  const std::vector<float> y = problem.run();
  for (Pos t = 0; t < 4; ++t) EXPECT_TRUE(judge(problem.expect(t), token_of(y, t, 33), nullptr, 4)) << t;
  for (Pos t = 4; t < 6; ++t) EXPECT_TRUE(same_bits(token_of(y, t, 33), std::vector<float>(33, 0.0F))) << t;
}

/// The largest whole numbers there are, all of one sign: no sum of them leaves 32 bits.
TEST_F(LinearFew, TheLargestSums) {
  for (const ParamFormat type : formats()) {
    LinearProblem problem({.seed = 5, .type = type, .n_tokens = 2, .n_rows = 8, .dim = 2048, .few = true});
    problem.set_token(0, std::vector<float>(2048, 3.0F));
    problem.set_token(1, std::vector<float>(2048, -7.0F));
    const std::vector<float> y = problem.run();
    for (Pos t = 0; t < 2; ++t)
      EXPECT_TRUE(judge(problem.expect(t), token_of(y, t, 8), nullptr, 5)) << block_of(type).name;
  }
}

/// Each type asks something of its own of a rounded token.
TEST_F(LinearFew, MatricesOfAllTypesMayMultiplyTheSameTokens) {
  std::vector<LinearProblem> problems;
  std::vector<LinearProduct> products;
  std::vector<std::vector<float>> results;
  for (const ParamFormat type : formats()) {
    problems.push_back(LinearProblem({.seed = 6, .type = type, .n_tokens = 7, .n_rows = 50, .dim = 256, .few = true}));
    results.emplace_back(7 * 50);
  }
  for (std::size_t i = 0; i < problems.size(); ++i) products.push_back({problems[i].params(), results[i].data(), 50});
  LinearWorkspace workspace;
  linear_few({problems[0].inputs().x.data(), 256, 7, 256, products}, team_of(2), workspace);
  for (std::size_t i = 0; i < problems.size(); ++i) {
    std::vector<float> alone(7 * 50);
    const LinearProduct product{problems[i].params(), alone.data(), 50};
    linear_few({problems[0].inputs().x.data(), 256, 7, 256, {&product, 1}}, team_of(1), workspace);
    EXPECT_TRUE(same_bits(results[i], alone)) << block_of(problems[i].shape().type).name;
  }
}

TEST_F(LinearFew, NothingToDoAndErrors) {
  LinearWorkspace workspace;
  const LinearProblem problem({.seed = 7, .type = ParamFormat::q8_0, .n_tokens = 2, .n_rows = 3, .dim = 256});
  std::vector<float> y(6, -1.0F);
  LinearProduct product{problem.params(), y.data(), 3};
  LinearCall call{problem.inputs().x.data(), 256, 0, 256, {&product, 1}};
  linear_few(call, team_of(1), workspace);
  EXPECT_EQ(y, std::vector<float>(6, -1.0F));
  call.n_tokens = 2, call.products = {};
  linear_few(call, team_of(1), workspace);
  EXPECT_EQ(y, std::vector<float>(6, -1.0F));
  call.products = {&product, 1}, call.x_stride = 255;
  const auto line = [&] { return error_line([&] { linear_few(call, team_of(1), workspace); }); };
  EXPECT_EQ(line(), "linear: x_stride must be >= dim 256, got 255");
  call.x_stride = 256, product.params.type = ParamFormat::f16;
  EXPECT_EQ(line(), "linear_few: params of type f16 are not for few tokens");
}

TEST(LinearFewTarget, ALesserTargetDeclines) {
  on_every_target([](const std::string& target) {
    const bool vectors = target == "AVX3" || target == "AMX";
    EXPECT_EQ(can_multiply_few(ParamFormat::q4_0, 256), vectors && kernel::has_linear()) << target;
    EXPECT_FALSE(can_multiply_few(ParamFormat::f16, 256)) << target;
    EXPECT_FALSE(can_multiply_few(ParamFormat::q4_0x8, 256)) << target;
  });
}

}  // namespace
}  // namespace saccade::testing
