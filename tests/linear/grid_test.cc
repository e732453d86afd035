// linear() over a generated grid of types and shapes, in each of its precisions (bf16 emulated where there is no matrix
// unit), against fp64, and its error against that of ggml's CPU backend.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <set>
#include <string>
#include <tuple>

#include "saccade/kernel/linear.h"
#include "tests/linear/linear_case.h"
#include "tests/support/random.h"

namespace saccade::testing {
namespace {

constexpr std::uint64_t kShards = 12, kCasesPerShard = 96;

struct SquaredErrors {
  double ours = 0, ggmls = 0;
  double size = 0;  ///< of |x| |params|, squared
  std::size_t n = 0;
};

double relative(double squared, double size) { return size > 0 ? std::sqrt(squared / size) : 0.0; }

/// The first, the last and some between.
std::set<Pos> tokens_to_judge(const LinearCase& c) {
  Random random(c.seed + 2);
  std::set<Pos> tokens = {0, c.n_tokens - 1};
  for (int i = 0; i < 6; ++i) tokens.insert(random.between(0, c.n_tokens - 1));
  return tokens;
}

SquaredErrors check_case(const LinearCase& c) {
  const LinearProblem problem(c);
  const std::vector<float> ours = problem.run();
  const std::vector<float> ggmls = problem.run_ggml();
  SquaredErrors sum;
  for (const Pos t : tokens_to_judge(c)) {
    const Expected expected = problem.expect(t);
    const std::size_t first = static_cast<std::size_t>(t * c.n_rows);
    EXPECT_TRUE(judge(expected, std::span(ours).subspan(first, static_cast<std::size_t>(c.n_rows)), nullptr, c.seed))
        << c << ", token " << t;
    for (std::size_t r = 0; r < expected.exact.o.size(); ++r) {
      const double exact = expected.exact.o[r];
      sum.ours += (ours[first + r] - exact) * (ours[first + r] - exact);
      sum.ggmls += (ggmls[first + r] - exact) * (ggmls[first + r] - exact);
      sum.size += expected.size * expected.size;
      ++sum.n;
    }
  }
  for (const float y : ours) EXPECT_TRUE(std::isfinite(y)) << c;
  return sum;
}

class LinearGrid : public ::testing::TestWithParam<std::tuple<Precision, std::uint64_t>> {};

TEST_P(LinearGrid, EqualsItsDefinitionAndErrsLessThanGgml) {
  if (!kernel::has_linear()) GTEST_SKIP() << "this CPU has no AVX-512 VNNI";
  SquaredErrors of_type[kParamFormats];
  for (std::uint64_t i = 0; i < kCasesPerShard; ++i) {
    const auto [precision, shard] = GetParam();
    const LinearCase c = draw_linear_case(20000 + shard * kCasesPerShard + i, precision);
    const SquaredErrors sum = check_case(c);
    // A handful of numbers may happen to be rounded well by anybody: they are judged together with their type's others.
    constexpr std::size_t kEnough = 200;
    if (sum.n >= kEnough) EXPECT_LE(sum.ours, sum.ggmls) << c;
    SquaredErrors& all = of_type[static_cast<int>(c.type)];
    const double size = sum.size / static_cast<double>(sum.n);  // each number counts as much as any other
    all.ours += sum.ours / size, all.ggmls += sum.ggmls / size, all.size += static_cast<double>(sum.n), all.n += sum.n;
  }
  for (int type = 0; type < kParamFormats; ++type) {
    const SquaredErrors& all = of_type[type];
    EXPECT_LE(all.ours, all.ggmls) << block_of(static_cast<ParamFormat>(type)).name;
    std::printf("%-6s error in |x| |params|, ours %.1e, ggml %.1e (%zu numbers)\n",
                block_of(static_cast<ParamFormat>(type)).name.data(), relative(all.ours, all.size),
                relative(all.ggmls, all.size), all.n);
  }
}

INSTANTIATE_TEST_SUITE_P(Shards, LinearGrid,
                         ::testing::Combine(::testing::Values(Precision::kI16, Precision::kBf16),
                                            ::testing::Range(std::uint64_t{0}, kShards)),
                         [](const auto& shard) {
                           return std::string(name_of(std::get<0>(shard.param))) + "_" +
                                  std::to_string(std::get<1>(shard.param));
                         });

}  // namespace
}  // namespace saccade::testing
