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

TEST(DType, Q4HoldsWhatItsDefinitionSays) {
  std::byte block[18];
  const std::uint16_t half = encode_f16(0.5F);
  std::memcpy(block, &half, 2);
  for (int n = 0; n < 16; ++n) block[2 + n] = static_cast<std::byte>(n | (15 - n) << 4);
  const std::vector<float> values = decode(DType::q4_0, block, 32);
  for (int n = 0; n < 16; ++n) {
    EXPECT_EQ(values[static_cast<std::size_t>(n)], 0.5F * static_cast<float>(n - 8));
    EXPECT_EQ(values[static_cast<std::size_t>(n + 16)], 0.5F * static_cast<float>(7 - n));
  }
  Random random(6);
  std::vector<float> normal(64);
  for (float& x : normal) x = random.normal();
  std::vector<std::byte> stored(row_bytes(DType::q4_0, 64));
  encode(DType::q4_0, normal, stored.data());
  const std::vector<float> back = decode(DType::q4_0, stored.data(), 64);
  for (std::size_t c = 0; c < normal.size(); ++c) EXPECT_NEAR(back[c], normal[c], 3.5 / 8.0 * 1.01);
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
