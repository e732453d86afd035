#include "saccade/judge/fidelity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace saccade::judge {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
const double kNan = std::numeric_limits<double>::quiet_NaN();

/// The definition, term by term in f64.
double plain_kl(const std::vector<float>& p, const std::vector<float>& q) {
  double sum_p = 0, sum_q = 0, kl = 0;
  for (const float x : p) sum_p += std::exp(static_cast<double>(x));
  for (const float x : q) sum_q += std::exp(static_cast<double>(x));
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double pi = std::exp(static_cast<double>(p[i])) / sum_p, qi = std::exp(static_cast<double>(q[i])) / sum_q;
    kl += pi * std::log(pi / qi);
  }
  return kl;
}

TEST(Kl, WorkedByHand) {
  // p = (1/2, 1/2), q = (1/4, 3/4): KL = 1/2 ln 2 + 1/2 ln (2/3).
  const std::vector<float> p{0, 0}, q{0, std::log(3.0F)};
  EXPECT_NEAR(kl_divergence(p, q), 0.5 * std::log(2.0) + 0.5 * std::log(2.0 / 3.0), 1e-7);
  EXPECT_NEAR(negative_log_likelihood(q, 0), std::log(4.0), 1e-7);
}

TEST(Kl, EqualsTheDefinitionAndIgnoresAConstant) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 3);
  for (int round = 0; round < 20; ++round) {
    std::vector<float> p(5000), q(5000), shifted(5000);
    for (std::size_t i = 0; i < p.size(); ++i)
      p[i] = normal(random), q[i] = p[i] + 0.3F * normal(random), shifted[i] = q[i] + 40;
    EXPECT_NEAR(kl_divergence(p, q), plain_kl(p, q), 1e-5);
    EXPECT_NEAR(kl_divergence(p, shifted), kl_divergence(p, q), 1e-5);
  }
}

TEST(Kl, IsZeroForTheSameRowToTheBit) {
  const std::vector<float> p{1, -3, 1000, -kInf};
  EXPECT_EQ(kl_divergence(p, p), 0);
}

TEST(Kl, ANanIsNotHidden) {
  EXPECT_TRUE(std::isnan(kl_divergence(std::vector<float>{1, 2}, std::vector<float>{1, NAN})));
}

TEST(Top1, LowestOnATieAndNeverANan) {
  EXPECT_EQ(top1(std::vector<float>{1, 5, 5}), 1U);
  EXPECT_EQ(top1(std::vector<float>{NAN, 5, 7}), 2U);
  EXPECT_EQ(top1(std::vector<float>{5, NAN, 4}), 0U);
  EXPECT_EQ(top1(std::vector<float>{NAN, NAN}), 0U);
}

TEST(Percentile, NearestRank) {
  std::vector<double> values;
  for (int i = 100; i >= 1; --i) values.push_back(i);
  EXPECT_EQ(percentile(values, 0.99), 99);
  EXPECT_EQ(percentile(values, 1), 100);
  EXPECT_EQ(percentile(values, 0), 1);
  EXPECT_EQ(percentile({}, 0.5), 0);
  EXPECT_EQ(percentile({3, kNan, 1}, 0.5), 3);
  EXPECT_TRUE(std::isnan(percentile({3, kNan, 1}, 1)));
}

TEST(FidelityMeter, CollectsTheFourNumbers) {
  FidelityMeter meter;
  const std::vector<float> p{0, std::log(3.0F)}, q{std::log(3.0F), 0};
  meter.add(p, p, 1);
  meter.add(p, q, 1);
  const auto result = meter.result();
  EXPECT_NEAR(result.ppl, std::sqrt(4.0 / 3.0 * 4.0), 1e-6);
  EXPECT_NEAR(result.kl_mean, 0.5 * plain_kl(p, q), 1e-6);
  EXPECT_NEAR(result.kl_p99, plain_kl(p, q), 1e-6);
  EXPECT_EQ(result.top1_agreement, 0.5);
  EXPECT_EQ(FidelityMeter().result().ppl, 1);
}

}  // namespace
}  // namespace saccade::judge
