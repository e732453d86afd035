#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "saccade/weigh/softmax.h"
#include "tests/support/random.h"
#include "tests/tolerance.h"

namespace saccade::testing {

namespace detail {

/// fp64 is the definition here, so its own rounding is what may be seen: a few eps(f64) a score.
inline double rounding(std::size_t n_scores, double size) {
  return 4.0 * std::numeric_limits<double>::epsilon() * static_cast<double>(n_scores + 1) * std::max(1.0, size);
}

}  // namespace detail

/// The laws of a normaliser (Softmax): in blocks = one at a time; weights sum to 1; a constant added to every score of
/// a row changes no weight and moves lse by itself; nothing seen is lse = -inf.
template <class Normaliser>
void check_normaliser_laws(std::span<const double> scores, std::uint64_t seed) {
  using Online = typename Normaliser::Online;
  SCOPED_TRACE(std::to_string(scores.size()) + " scores, seed " + std::to_string(seed));
  Random random(seed);
  double size = 0.0;
  for (const double score : scores) size = std::max(size, std::isfinite(score) ? std::fabs(score) : 0.0);
  const double allowed = detail::rounding(scores.size(), size);

  Online one_at_a_time, blockwise, shifted;
  for (const double& score : scores) one_at_a_time.see({&score, 1});
  for (std::size_t begin = 0; begin < scores.size();) {
    const auto n = static_cast<std::size_t>(random.between(0, 70));
    const auto block = scores.subspan(begin, std::min(n, scores.size() - begin));
    blockwise.see(block);
    begin += block.size();
  }
  const double constant = 10.0 * random.normal();
  for (double score : scores) score += constant, shifted.see({&score, 1});

  const double lse = blockwise.lse();
  double sum = 0.0;
  for (const double score : scores) sum += score == lse ? 1.0 : Normaliser::weight(score, lse);
  if (lse == -std::numeric_limits<double>::infinity()) {
    EXPECT_EQ(one_at_a_time.lse(), lse);
    EXPECT_EQ(shifted.lse(), lse);
    for (const double score : scores) EXPECT_EQ(score, lse) << "-inf though something was seen";
    return;
  }
  EXPECT_NEAR(one_at_a_time.lse(), lse, allowed);
  EXPECT_NEAR(sum, 1.0, allowed);
  EXPECT_NEAR(shifted.lse(), lse + constant, allowed + detail::rounding(scores.size(), std::fabs(constant)));
  for (const double score : scores) {
    EXPECT_NEAR(Normaliser::weight(score + constant, shifted.lse()), Normaliser::weight(score, lse),
                allowed + detail::rounding(scores.size(), std::fabs(constant)));
  }
}

/// The laws of Weigh for every set of parameters of a rule that shapes scores, under softmax: over rows of any length
/// and size, scores that are hidden among them.
template <class M>
void check_weigh_laws(const std::vector<M>& params) {
  std::uint64_t seed = 1;
  for (const M& mechanism : params) {
    for (const Pos n : {0, 1, 2, 31, 127, 128, 129, 1009}) {
      for (const double gain : {0.0, 1.0, 30.0, 1e4}) {
        Random random(++seed);
        std::vector<double> scores;
        for (Pos j = 0; j < n; ++j) {
          const double raw = gain * random.normal();
          const double score = mechanism.shape(raw);
          EXPECT_NEAR(mechanism.shape(static_cast<float>(raw)), score,
                      4.0 * static_cast<double>(std::numeric_limits<float>::epsilon()) * std::max(std::fabs(raw), 1.0))
              << "the definition in f32 is another one than in fp64";
          scores.push_back(random.one_in(9) ? -std::numeric_limits<double>::infinity() : score);
        }
        check_normaliser_laws<weigh::Softmax>(scores, seed);
      }
    }
  }
}

}  // namespace saccade::testing
