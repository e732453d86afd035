// Every type's decoder against ggml's, bit for bit, on quantised numbers and on random bits.

#include "saccade/kernel/expand.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "saccade/kernel/linear.h"
#include "tests/linear/linear_case.h"
#include "tests/support/random.h"

namespace saccade::testing {
namespace {

constexpr int kDim = 1024;

void check(ParamFormat type, const std::vector<std::byte>& params, const std::string& what) {
  std::vector<float> expected(kDim);
  ggml_get_type_traits(ggml_type_of(type))->to_float(params.data(), expected.data(), kDim);
  for (int first = 0; first < kDim; first += 256) {
    alignas(64) float actual[256 + 16];
    std::fill(std::begin(actual), std::end(actual), -77.0F);
    kernel::expand(type, params.data() + param_bytes(type, first), 256, actual);
    for (int i = 0; i < 256; ++i) {
      const float want = expected[static_cast<std::size_t>(first + i)];
      if (std::isnan(want)) {
        ASSERT_TRUE(std::isnan(actual[i])) << block_of(type).name << ", " << what << ", element " << first + i;
      } else {
        ASSERT_EQ(std::memcmp(&want, &actual[i], sizeof want), 0) << block_of(type).name << ", " << what << ", element "
                                                                  << first + i << ": " << want << ", got " << actual[i];
      }
    }
    for (int i = 256; i < 256 + 16; ++i) ASSERT_EQ(actual[i], -77.0F) << "written behind the end";
  }
}

class Expand : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (!kernel::has_linear()) GTEST_SKIP() << "this CPU has no AVX-512 VNNI";
  }
  ParamFormat type() const { return static_cast<ParamFormat>(GetParam()); }
};

TEST_P(Expand, BlocksAreAsLargeAsGgmls) {
  EXPECT_EQ(ggml_blck_size(ggml_type_of(type())), block_of(type()).n_params);
  EXPECT_EQ(ggml_type_size(ggml_type_of(type())), static_cast<std::size_t>(block_of(type()).n_bytes));
}

TEST_P(Expand, QuantisedNumbers) {
  Random random(1);
  for (const float gain : {1e-6F, 0.02F, 1.0F, 300.0F}) {
    std::vector<float> values;
    for (int i = 0; i < kDim; ++i) values.push_back(gain * random.normal());
    std::vector<std::byte> params(static_cast<std::size_t>(param_bytes(type(), kDim)));
    ggml_quantize_chunk(ggml_type_of(type()), values.data(), params.data(), 0, 1, kDim, nullptr);
    check(type(), params, "gain " + std::to_string(gain));
  }
}

TEST_P(Expand, RandomBits) {
  Random random(2);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::byte> params(static_cast<std::size_t>(param_bytes(type(), kDim)));
    for (std::byte& byte : params) byte = static_cast<std::byte>(random.between(0, 255));
    check(type(), params, "round " + std::to_string(round));
  }
}

TEST_P(Expand, AShortRow) {
  if (block_of(type()).n_params == 256) return;
  Random random(3);
  std::vector<std::byte> params(static_cast<std::size_t>(param_bytes(type(), 96)));
  for (std::byte& byte : params) byte = static_cast<std::byte>(random.between(0, 100));
  alignas(64) float whole[96], part[112];
  kernel::expand(type(), params.data(), 96, whole);
  const int n = block_of(type()).n_params == 1 ? 37 : 64;
  std::fill(std::begin(part), std::end(part), -77.0F);
  kernel::expand(type(), params.data(), n, part);
  EXPECT_EQ(std::memcmp(whole, part, static_cast<std::size_t>(n) * sizeof(float)), 0);
  for (int i = n; i < 112; ++i) EXPECT_EQ(part[i], -77.0F) << i;
}

/// Formats that lay eight rows side by side: what ggml's repacking makes of random bits, bit for bit.
class ExpandEight : public Expand {};

TEST_P(ExpandEight, RandomBits) {
  Random random(4);
  const ggml_type from = ggml_type_of(type());
  constexpr Pos kRows = 24, kWidth = 768;
  for (int round = 0; round < 30; ++round) {
    std::vector<std::byte> quantised(static_cast<std::size_t>(kRows) * ggml_row_size(from, kWidth));
    for (std::byte& byte : quantised) byte = static_cast<std::byte>(random.between(0, 255));
    const std::vector<std::byte> stored = stored_params(from, quantised, kRows, kWidth, repack_buffer_type());
    ASSERT_FALSE(stored.empty()) << "this ggml does not repack " << ggml_type_name(from);
    std::vector<float> expected(kRows * kWidth);
    ggml_get_type_traits(from)->to_float(quantised.data(), expected.data(), kRows * kWidth);
    for (Pos row = 0; row < kRows; row += 8) {
      for (Pos first = 0; first < kWidth; first += 256) {
        alignas(64) float actual[8][256 + 16];
        const std::byte* at = stored.data() + row / 8 * param_bytes(type(), kWidth) + param_bytes(type(), first);
        kernel::expand(type(), at, 256, actual[0], 256 + 16);
        for (Pos i = 0; i < 8; ++i) {
          for (Pos d = 0; d < 256; ++d) {
            const float want = expected[static_cast<std::size_t>((row + i) * kWidth + first + d)];
            const bool same =
                std::isnan(want) ? std::isnan(actual[i][d]) : std::memcmp(&want, &actual[i][d], sizeof want) == 0;
            ASSERT_TRUE(same) << "row " << row + i << ", element " << first + d << ": " << want << ", got "
                              << actual[i][d];
          }
        }
      }
    }
  }
}

const auto name_of_format = [](const auto& type) {
  return std::string(block_of(static_cast<ParamFormat>(type.param)).name);
};

constexpr int kOfOneRow = static_cast<int>(ParamFormat::q4_0x8);
INSTANTIATE_TEST_SUITE_P(Repacked, ExpandEight, ::testing::Range(kOfOneRow, kParamFormats), name_of_format);
INSTANTIATE_TEST_SUITE_P(Types, Expand, ::testing::Range(0, kOfOneRow), name_of_format);

}  // namespace
}  // namespace saccade::testing
