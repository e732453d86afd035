#include "saccade/kernel/bounds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "saccade/kernel/targets.h"
#include "tests/support/dtype.h"
#include "tests/support/random.h"

namespace saccade::kernel {
namespace {

struct Panels {
  Panels(int n_panels, int channels, std::uint64_t seed)
      : dim(channels), halves(static_cast<std::size_t>(n_panels * 2 * channels * kBoundLanes)) {
    testing::Random random(seed);
    for (auto& half : halves) half = testing::encode_f16(20.0F * random.normal());
  }
  double bound(const std::vector<float>& q, int query, int block, double& size) const {
    double sum = 0;
    for (int c = 0; c < dim; ++c) {
      const auto at = [&](int row) {
        const auto i = (block / kBoundLanes * 2 * dim + row) * kBoundLanes + block % kBoundLanes;
        return static_cast<double>(testing::decode_f16(halves[static_cast<std::size_t>(i)]));
      };
      const double x = q[static_cast<std::size_t>(query * dim + c)];
      const double term = std::max(x, 0.0) * at(dim + c) + std::min(x, 0.0) * at(c);
      sum += term, size += std::fabs(term);
    }
    return sum;
  }
  int dim;
  std::vector<std::uint16_t> halves;
};

std::vector<float> scores(const Panels& panels, int n_panels, const std::vector<float>& q, int n_queries) {
  std::vector<float> packed(2 * q.size()), out(static_cast<std::size_t>(n_queries * n_panels * kBoundLanes), NAN);
  pack_bound_queries(q.data(), n_queries, panels.dim, packed.data());
  score_bounds(panels.halves.data(), n_panels, packed.data(), n_queries, panels.dim, out.data(),
               std::ptrdiff_t{n_panels} * kBoundLanes);
  return out;
}

TEST(ScoreBounds, IsItsDefinition) {
  for (const std::string& target : supported_targets()) {
    force_target(target);
    for (int n_queries = 1; n_queries <= kBoundQueries; ++n_queries) {
      for (const int dim : {8, 64, 72, 576}) {
        const int n_panels = 3;
        const Panels panels(n_panels, dim, static_cast<std::uint64_t>(n_queries + dim));
        testing::Random random(7);
        std::vector<float> q(static_cast<std::size_t>(n_queries * dim));
        for (float& x : q) x = random.normal();
        const std::vector<float> out = scores(panels, n_panels, q, n_queries);
        for (int i = 0; i < n_queries; ++i) {
          for (int block = 0; block < n_panels * kBoundLanes; ++block) {
            double size = 0;
            const double expected = panels.bound(q, i, block, size);
            // f32 sums of 2 dim terms: each step is off by at most half a unit in the last place of all sizes together
            EXPECT_NEAR(out[static_cast<std::size_t>(i * n_panels * kBoundLanes + block)], expected,
                        2.0 * dim * std::ldexp(size, -24))
                << target << " " << n_queries << " " << dim;
          }
        }
      }
    }
  }
  force_target("");
}

TEST(ScoreBounds, WhatIsNotANumberIsLookedAt) {
  for (const std::string& target : supported_targets()) {
    force_target(target);
    Panels panels(1, 8, 1);
    panels.halves[3] = 0x7e00U;                    // block 3, the least of channel 0: NaN
    panels.halves[8 * kBoundLanes + 5] = 0x7c00U;  // block 5, the largest of channel 0: inf, times zero
    std::vector<float> q(16, -1.0F);
    std::vector<float> out = scores(panels, 1, q, 2);
    for (std::size_t i = 0; i < 32; ++i) EXPECT_EQ(std::isinf(out[i]), i % 16 == 3 || i % 16 == 5) << target;
    q[9] = NAN;
    out = scores(panels, 1, q, 2);
    for (std::size_t i = 16; i < 32; ++i) EXPECT_EQ(out[i], std::numeric_limits<float>::infinity()) << target;
  }
  force_target("");
}

}  // namespace
}  // namespace saccade::kernel
