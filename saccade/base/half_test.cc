#include "saccade/base/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>

#include "tests/support/dtype.h"

namespace saccade {
namespace {

/// Halves and the places between neighbours: rounding down and up gives the half itself, or its two neighbours.
TEST(Half, RoundsDownAndUp) {
  for (std::uint16_t bits = 0; bits < 0x7c00U; ++bits) {
    const float here = testing::decode_f16(bits), next = testing::decode_f16(static_cast<std::uint16_t>(bits + 1));
    ASSERT_EQ(testing::decode_f16(f16_at_most(here)), here);
    ASSERT_EQ(testing::decode_f16(f16_at_least(here)), here);
    ASSERT_EQ(testing::decode_f16(f16_at_most(-here)), -here);
    ASSERT_EQ(testing::decode_f16(f16_at_least(-here)), -here);
    for (const float between : {std::nextafter(here, INFINITY), std::nextafter(next, 0.0F)}) {
      ASSERT_EQ(testing::decode_f16(f16_at_most(between)), here) << bits;
      ASSERT_EQ(testing::decode_f16(f16_at_least(between)), next) << bits;
      ASSERT_EQ(testing::decode_f16(f16_at_most(-between)), -next) << bits;
      ASSERT_EQ(testing::decode_f16(f16_at_least(-between)), -here) << bits;
    }
  }
  constexpr float kMax = std::numeric_limits<float>::max();
  EXPECT_EQ(testing::decode_f16(f16_at_most(kMax)), 65504.0F);
  EXPECT_EQ(testing::decode_f16(f16_at_least(kMax)), INFINITY);
  EXPECT_EQ(testing::decode_f16(f16_at_most(INFINITY)), INFINITY);
  EXPECT_TRUE(std::isnan(testing::decode_f16(f16_at_most(NAN))));
  EXPECT_TRUE(std::isnan(testing::decode_f16(f16_at_least(-NAN))));
}

}  // namespace
}  // namespace saccade
