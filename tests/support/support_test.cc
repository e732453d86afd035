#include <gtest/gtest.h>

#include "tests/support/dtype.h"
#include "tests/support/random.h"

namespace saccade::testing {
namespace {

TEST(DType, EveryF16AndBf16SurvivesTheWayThereAndBack) {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    if (const float x = decode_f16(half); !std::isnan(x)) EXPECT_EQ(encode_f16(x), half);
    if (const float x = decode_bf16(half); !std::isnan(x)) EXPECT_EQ(encode_bf16(x), half);
  }
  EXPECT_TRUE(std::isnan(decode_f16(encode_f16(std::nanf("")))));
  EXPECT_TRUE(std::isnan(decode_bf16(encode_bf16(std::nanf("")))));
}

TEST(DType, RoundsToTheNearestTiesToEven) {
  EXPECT_EQ(decode_f16(encode_f16(1.0F + 0x1p-11F)), 1.0F);
  EXPECT_EQ(decode_f16(encode_f16(1.0F + 0x1.8p-10F)), 1.0F + 0x1p-9F);
  EXPECT_EQ(decode_f16(encode_f16(2047.9999F)), 2048.0F);
  EXPECT_EQ(decode_f16(encode_f16(0x1.8p-24F)), 0x1p-23F);
  EXPECT_TRUE(std::isinf(decode_f16(encode_f16(65520.0F))));
  EXPECT_EQ(decode_f16(encode_f16(65519.0F)), 65504.0F);
  EXPECT_EQ(decode_bf16(encode_bf16(1.0F + 0x1p-8F)), 1.0F);
  EXPECT_EQ(decode_bf16(encode_bf16(1.0F + 0x1.8p-7F)), 1.0F + 0x1p-6F);
}

TEST(DType, Q8IsWithinHalfAStep) {
  Random random(5);
  std::vector<float> values(64);
  for (float& x : values) x = random.normal();
  std::vector<std::byte> stored(row_bytes(DType::q8_0, 64));
  encode(DType::q8_0, values, stored.data());
  const std::vector<float> back = decode(DType::q8_0, stored.data(), 64);
  for (std::size_t c = 0; c < values.size(); ++c) EXPECT_NEAR(back[c], values[c], 3.5 / 127.0 * 0.6);
}

TEST(Random, IsTheSameEverywhereAndNormal) {
  EXPECT_EQ(Random(0).next(), 0xE220A8397B1DCDAFU);  // splitmix64's published first value
  Random random(1);
  double sum = 0.0, squares = 0.0;
  for (int n = 0; n < 100'000; ++n) {
    const double x = random.normal();
    sum += x, squares += x * x;
  }
  EXPECT_NEAR(sum / 1e5, 0.0, 0.02);
  EXPECT_NEAR(squares / 1e5, 1.0, 0.02);
}

}  // namespace
}  // namespace saccade::testing
