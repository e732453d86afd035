// The bf16 kernel by itself: against fp64, against the definition of a tile product, and the matrix unit against its
// emulation, to the bit. On a machine without a matrix unit the emulation stands for both.

#include "saccade/kernel/bf16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "saccade/kernel/matrix_unit.h"
#include "saccade/kernel/targets.h"
#include "saccade/oracle/bf16.h"
#include "saccade/weigh/softcap.h"
#include "tests/support/dtype.h"
#include "tests/support/error_line.h"
#include "tests/support/random.h"
#include "tests/tolerance.h"

namespace saccade::kernel {
namespace {

using testing::decode_bf16;
using testing::encode_bf16;
using testing::Random;

/// 64-byte aligned numbers that start as NaN.
template <class T>
class Aligned {
 public:
  explicit Aligned(std::size_t n) : data_(static_cast<T*>(::operator new[](n * sizeof(T), kLine)), Free{}) {
    std::memset(static_cast<void*>(data_.get()), 0xFF, n * sizeof(T));
  }
  T* data() const { return data_.get(); }
  T& operator[](std::size_t n) const { return data_.get()[n]; }

 private:
  static constexpr std::align_val_t kLine{64};
  struct Free {
    void operator()(T* data) const { ::operator delete[](data, kLine); }
  };
  std::unique_ptr<T[], Free> data_;
};

struct ForceTarget {
  explicit ForceTarget(const std::string& name) { force_target(name); }
  ~ForceTarget() { force_target(""); }
};

class Bf16 : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_bf16()) GTEST_SKIP() << "this CPU has no AVX-512";
  }
};

/// Of rows of f32, side by side.
bool round_keys(const float* k, int n_keys, int dim, std::uint32_t* out) {
  return kernel::round_keys(DType::f32, reinterpret_cast<const std::byte*>(k), dim * 4, n_keys, dim, nullptr, out);
}
bool round_values(const float* v, int n_keys, int dim, std::uint32_t* out) {
  return kernel::round_values(DType::f32, reinterpret_cast<const std::byte*>(v), dim * 4, n_keys, dim, out);
}

/// A tile's rows against a few blocks of keys; rows are queries of one head, and each sees its own random keys.
struct Case {
  explicit Case(std::uint64_t case_seed) : seed(case_seed) {
    Random random(seed);
    in.q_len = random.pick<Pos>({1, 7, 16, 17, 32, 33, 48});
    in.kv_len = random.pick<Pos>({1, 2, 15, 31, 32, 33, 97, 127, 128, 200, 391});
    in.head_dim = 8 * random.between(4, 40);
    in.kv_head = {0};
    in.scale = 1.0F / std::sqrt(static_cast<float>(in.head_dim));
    const float gain = random.pick({0.05F, 1.0F, 6.0F, 30.0F});
    for (Pos n = 0; n < in.q_len * in.head_dim; ++n) in.q.push_back(gain * random.normal());
    for (Pos n = 0; n < in.kv_len * in.head_dim; ++n) in.k.push_back(random.normal());
    for (Pos n = 0; n < in.kv_len * in.head_dim; ++n) in.v.push_back(random.normal());
    const Pos most_hidden = random.pick<Pos>({0, 2, 12});  // of 12
    for (Pos n = 0; n < in.q_len * in.kv_len; ++n) visible.push_back(random.between(1, 12) > most_hidden);
    masked = most_hidden > 0;
    if (masked && random.one_in(2)) {
      for (Pos n = 0; n < in.q_len * in.kv_len; ++n) in.bias.push_back(random.normal());
    }
    if (random.one_in(3)) softcap = random.pick({5.0F, 50.0F});
  }
  bool sees(Pos i, Pos j) const { return visible[static_cast<std::size_t>(i * in.kv_len + j)]; }
  auto visibility() const {
    return [this](Pos i, Pos j) { return sees(i, j); };
  }
  auto shape() const {
    return [this](auto score) { return weigh::Softcap{softcap}.shape(score); };
  }

  std::uint64_t seed;
  oracle::Inputs in;
  std::vector<bool> visible;
  bool masked = false;
  float softcap = 0.0F;
};

/// What a kernel leaves behind, lanes that are not rows left out.
struct Result {
  std::vector<float> o, lse, top;  // [rows, head_dim], [rows], [rows]
  bool operator==(const Result& other) const {
    return std::memcmp(o.data(), other.o.data(), o.size() * 4) == 0 &&
           std::memcmp(lse.data(), other.lse.data(), lse.size() * 4) == 0;
  }
};

TileMask mask_block(const Case& c, Pos first, int n_keys, const Aligned<std::uint32_t>& words,
                    const Aligned<float>& bias) {
  if (!c.masked) return {};
  std::fill_n(words.data(), kBlockKeys / 32 * kTileRows, 0U);
  for (Pos i = 0; i < c.in.q_len; ++i) {
    for (int j = 0; j < n_keys; ++j) {
      if (c.sees(i, first + j)) words[static_cast<std::size_t>(j / 32 * kTileRows + i)] |= 1U << (j % 32);
      if (c.in.bias.empty()) continue;
      bias[static_cast<std::size_t>(j * kTileRows + i)] =
          c.in.bias[static_cast<std::size_t>(i * c.in.kv_len + first + j)];
    }
  }
  return {.visible = words.data(), .bias = c.in.bias.empty() ? nullptr : bias.data()};
}

/// `together`: blocks that all rows see to a visit; `block_keys`: keys of each.
Result run(const Case& c, std::size_t together = 1, Pos block_keys = kBlockKeys) {
  const MatrixSession session;
  const oracle::Inputs& in = c.in;
  const int dim = static_cast<int>(in.head_dim);
  const auto size = static_cast<std::size_t>(dim);
  Aligned<float> q(size * kTileRows), o(static_cast<std::size_t>(round_up(dim, 16)) * kTileRows), row_max(kTileRows),
      row_sum(kTileRows), scratch(kBf16Scratch), bias(kBlockKeys * kTileRows);
  Aligned<std::uint32_t> q_words(static_cast<std::size_t>(round_up(dim, 32)) / 2 * kTileRows),
      visible(kBlockKeys / 32 * kTileRows);
  Aligned<float> row_top(kTileRows), factor(kTileRows), shrink(kTileRows);
  Bf16Notes notes{.top = row_top.data(), .factor = factor.data(), .shrink = shrink.data()};
  std::fill_n(row_top.data(), kTileRows, -std::numeric_limits<float>::infinity());
  std::fill_n(o.data(), round_up(dim, 16) * kTileRows, 0.0F);
  std::fill_n(q.data(), dim * kTileRows, 0.0F);
  std::fill_n(row_max.data(), kTileRows, -std::numeric_limits<float>::infinity());
  std::fill_n(row_sum.data(), kTileRows, 0.0F);
  for (Pos i = 0; i < in.q_len; ++i) {
    for (int n = 0; n < dim; ++n) q[static_cast<std::size_t>(n * kTileRows + i)] = in.q_row(i, 0)[n];
  }
  EXPECT_TRUE(round_queries(q.data(), dim, q_words.data()));
  std::vector<Aligned<std::uint32_t>> words;  // of blocks that wait
  std::vector<Bf16Block> blocks;
  for (Pos first = 0; first < in.kv_len; first += block_keys) {
    const int n_keys = static_cast<int>(std::min<Pos>(block_keys, in.kv_len - first));
    const auto& k_words = words.emplace_back(static_cast<std::size_t>(bf16_k_words(dim)));
    const std::uint32_t* const k = k_words.data();
    EXPECT_TRUE(round_keys(in.k_row(first, 0), n_keys, dim, k_words.data()));
    const auto& v_words = words.emplace_back(static_cast<std::size_t>(bf16_v_words(dim)));
    EXPECT_TRUE(round_values(in.v_row(first, 0), n_keys, dim, v_words.data()));
    blocks.push_back({k, v_words.data(), n_keys, dim, dim, nullptr});
    if (!c.masked && blocks.size() < together && first + block_keys < in.kv_len) continue;
    const Bf16Tile tile{.q = q_words.data(),
                        .o = o.data(),
                        .row_max = row_max.data(),
                        .row_sum = row_sum.data(),
                        .n_rows = static_cast<int>(in.q_len),
                        .notes = &notes};
    visit_bf16(tile, blocks, mask_block(c, first, n_keys, visible, bias), {in.scale, c.softcap}, scratch.data());
    blocks.clear(), words.clear();
  }
  Result result;
  for (std::size_t i = 0; i < static_cast<std::size_t>(in.q_len); ++i) {
    for (std::size_t n = 0; n < size; ++n) {
      result.o.push_back(row_sum[i] == 0.0F ? 0.0F : o[n * kTileRows + i] / row_sum[i]);
    }
    result.lse.push_back(row_sum[i] == 0.0F ? -std::numeric_limits<float>::infinity()
                                            : row_max[i] / 1.44269504F + std::log(row_sum[i]));
    result.top.push_back(std::max(row_max[i], row_top[i]) / 1.44269504F);
  }
  return result;
}

void expect_within_tolerance(const Case& c, const Result& result) {
  for (Pos i = 0; i < c.in.q_len; i += 3) {
    testing::Expected row = testing::expect_row(c.in, i, 0, c.visibility(), c.shape());
    row.eps = 1.0 / 256;
    row.compare_with(oracle::attend_row_bf16(c.in, i, 0, c.visibility(), c.shape()));
    const auto dim = static_cast<std::size_t>(c.in.head_dim);
    const std::span<const float> o(result.o.data() + static_cast<std::size_t>(i) * dim, dim);
    ASSERT_TRUE(testing::judge(row, o, &result.lse[static_cast<std::size_t>(i)], c.seed))
        << "head_dim " << c.in.head_dim << ", rows " << c.in.q_len << ", keys " << c.in.kv_len << ", masked "
        << c.masked << ", softcap " << c.softcap;
  }
}

TEST_F(Bf16, EqualsItsDefinition) {
  for (std::uint64_t seed = 100; seed < 180; ++seed) {
    const Case c(seed);
    expect_within_tolerance(c, run(c));
    if (HasFatalFailure()) return;
  }
}

TEST_F(Bf16, TheMatrixUnitAndItsEmulationGiveTheSameBits) {
  for (std::uint64_t seed = 200; seed < 240; ++seed) {
    const Case c(seed);
    const Result best = run(c);
    const ForceTarget vectors("AVX3");
    EXPECT_FALSE(has_bf16_tiles());
    EXPECT_TRUE(best == run(c)) << "seed " << seed;
  }
}

/// Every row sees every key, and each block's scores are about `rise` higher than the last's, in units of log2.
Case rising(std::uint64_t seed, float rise) {
  Case c(seed);
  Random random(seed);
  c.in.kv_len = kBlockKeys * random.between(2, 5) + random.pick<Pos>({0, 0, 96, 17});
  c.in.k.clear(), c.in.v.clear(), c.in.bias.clear();
  c.visible.assign(static_cast<std::size_t>(c.in.q_len * c.in.kv_len), true);
  c.masked = false, c.softcap = 0;
  const auto dim = static_cast<std::size_t>(c.in.head_dim);
  for (std::size_t n = 0; n < c.in.q.size(); ++n) c.in.q[n] = n % dim == 0 ? 1.0F : 0.1F * random.normal();
  for (Pos j = 0; j < c.in.kv_len; ++j) {
    const Pos block = j / kBlockKeys;
    const float height = rise * static_cast<float>(block) / 1.44269504F / c.in.scale;
    for (std::size_t n = 0; n < dim; ++n) {
      c.in.k.push_back(n == 0 ? height : random.normal());
      c.in.v.push_back(random.normal());
    }
  }
  return c;
}

TEST_F(Bf16, MaximaThatLagBehindChangeNoResult) {
  for (const float rise : {-30.0F, -3.0F, 0.0F, 0.5F, 3.0F, 7.0F, 9.0F, 30.0F}) {
    for (std::uint64_t seed = 600; seed < 604; ++seed) {
      const Case c = rising(seed, rise);
      const Result one = run(c);
      expect_within_tolerance(c, one);
      if (HasFatalFailure()) return;
      EXPECT_TRUE(run(c, kMostBf16Blocks) == one) << "rise " << rise << ", seed " << seed;
      for (Pos i = 0; i < c.in.q_len; ++i) {
        double top = -1e9;
        for (Pos j = 0; j < c.in.kv_len; ++j) {
          double dot = 0;
          for (Pos n = 0; n < c.in.head_dim; ++n) dot += double{c.in.q_row(i, 0)[n]} * c.in.k_row(j, 0)[n];
          top = std::max(top, dot * c.in.scale);
        }
        EXPECT_NEAR(one.top[static_cast<std::size_t>(i)], top, 0.01 * (1 + std::fabs(top))) << "rise " << rise;
      }
    }
  }
}

/// The first strip of a block may have been scored with the last of the one before.
TEST_F(Bf16, BlocksOfAnySizeGiveTheSameBitsInOneVisit) {
  for (const Pos block_keys : {32, 64, 96, 128}) {
    for (const float rise : {0.0F, 3.0F, 9.0F}) {
      for (std::uint64_t seed = 620; seed < 623; ++seed) {
        const Case c = rising(seed, rise);
        EXPECT_TRUE(run(c, kMostBf16Blocks, block_keys) == run(c, 1, block_keys))
            << block_keys << " keys, rise " << rise << ", seed " << seed;
      }
    }
  }
}

TEST_F(Bf16, AScoreThatIsNoNumberComesToItsRow) {
  Case c = rising(650, 0.0F);
  c.in.q[0] = 3e38F, c.in.k[0] = 1e5F;  // finite, as packers see them; inf as a product, less inf in another
  c.in.q[1] = 3e38F, c.in.k[1] = -1e5F;
  const Result result = run(c, kMostBf16Blocks);
  EXPECT_TRUE(std::isnan(result.o[0]) || std::isnan(result.lse[0]));
  const auto dim = static_cast<std::size_t>(c.in.head_dim);
  for (std::size_t i = 1; i < static_cast<std::size_t>(c.in.q_len); ++i)
    EXPECT_TRUE(std::isfinite(result.o[i * dim])) << i;
}

TEST_F(Bf16, WeightsAddUpToOne) {
  for (std::uint64_t seed = 300; seed < 320; ++seed) {
    Case c(seed);
    std::fill(c.in.v.begin(), c.in.v.end(), 1.0F);
    const Result result = run(c);
    for (Pos i = 0; i < c.in.q_len; ++i) {
      // Two sums of the same numbers in two orders: to be judged as f32, whatever the weights were rounded to.
      const testing::Expected row = testing::expect_row(c.in, i, 0, c.visibility(), c.shape());
      const auto dim = static_cast<std::size_t>(c.in.head_dim);
      const std::span<const float> o(result.o.data() + static_cast<std::size_t>(i) * dim, dim);
      ASSERT_TRUE(testing::judge(row, o, nullptr, seed));
    }
  }
}

TEST_F(Bf16, ThreadsWithTheirOwnSessionsGiveTheSameBits) {
  const Case c(400);
  const Result alone = run(c);
  std::vector<Result> results(4);
  std::vector<std::thread> threads;
  for (Result& result : results) {
    threads.emplace_back([&] {
      for (int n = 0; n < 20; ++n) result = run(c);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Result& result : results) EXPECT_TRUE(result == alone);
}

TEST_F(Bf16, PacksToTheNearestAndFillsUpWithZeros) {
  Random random(500);
  constexpr int kKeys = 37, kDim = 40;
  Aligned<float> k(kKeys * kDim), v(kKeys * kDim), q(kDim * kTileRows);
  for (float* data : {k.data(), v.data()}) {
    for (int n = 0; n < kKeys * kDim; ++n) data[n] = random.normal();
  }
  for (int n = 0; n < kDim * kTileRows; ++n) q[static_cast<std::size_t>(n)] = random.normal();
  k[3] = 1.00390625F;   // a tie: down to even
  k[4] = 1.01171875F;   // a tie: up to even
  k[5] = -1.00390625F;  // the same below 0
  Aligned<std::uint32_t> k_words(static_cast<std::size_t>(bf16_k_words(kDim))), q_words(64 / 2 * kTileRows),
      v_words(static_cast<std::size_t>(bf16_v_words(kDim)));
  EXPECT_TRUE(round_queries(q.data(), kDim, q_words.data()));
  EXPECT_TRUE(round_keys(k.data(), kKeys, kDim, k_words.data()));
  EXPECT_TRUE(round_values(v.data(), kKeys, kDim, v_words.data()));
  const auto half = [](const Aligned<std::uint32_t>& words, int at) {
    return static_cast<std::uint16_t>(words[static_cast<std::size_t>(at / 2)] >> (at % 2 * 16));
  };
  for (int key = 0; key < 64; ++key) {
    for (int dim = 0; dim < 64; ++dim) {
      const float x = key < kKeys && dim < kDim ? k.data()[key * kDim + dim] : 0.0F;
      const int tile = key / 16 * 2 + dim / 32;
      EXPECT_EQ(half(k_words, tile * 512 + key % 16 * 32 + dim % 32), encode_bf16(x)) << key << ' ' << dim;
    }
    for (int dim = 0; dim < 48; ++dim) {
      const bool there = key < kKeys && dim < kDim;
      const float x = there ? v.data()[key * kDim + dim] : 0.0F;
      const int tile = dim / 16 * 2 + key / 32;
      EXPECT_EQ(half(v_words, tile * 512 + dim % 16 * 32 + key % 32), encode_bf16(x)) << key << ' ' << dim;
    }
  }
  for (int dim = 0; dim < 64; ++dim) {
    for (int row = 0; row < kTileRows; ++row) {
      const float x = dim < kDim ? q.data()[dim * kTileRows + row] : 0.0F;
      EXPECT_EQ(half(q_words, (dim / 2 * kTileRows + row) * 2 + dim % 2), encode_bf16(x)) << row << ' ' << dim;
    }
  }
}

TEST_F(Bf16, PackersReportWhatIsNotFinite) {
  constexpr int kKeys = 19, kDim = 40;
  const float largest = decode_bf16(0x7F7F);
  for (const auto& [value, finite] : {std::pair{largest, true}, std::pair{-largest, true},
                                      std::pair{std::numeric_limits<float>::max(), false},  // rounds to infinity
                                      std::pair{-std::numeric_limits<float>::infinity(), false},
                                      std::pair{std::numeric_limits<float>::quiet_NaN(), false}}) {
    Aligned<float> data(kDim * kTileRows);
    std::fill_n(data.data(), kDim * kTileRows, 0.25F);
    data[kKeys * kDim - 1] = value;
    Aligned<std::uint32_t> words(static_cast<std::size_t>(bf16_k_words(64)));
    EXPECT_EQ(round_keys(data.data(), kKeys, kDim, words.data()), finite) << value;
    EXPECT_EQ(round_values(data.data(), kKeys, kDim, words.data()), finite) << value;
    EXPECT_EQ(round_queries(data.data(), kDim, words.data()), finite) << value;
  }
}

TEST(MatrixUnit, ALesserTargetHidesIt) {
  const std::string best = chosen_target();
  EXPECT_EQ(best, supported_targets().front());
  EXPECT_EQ(best == "AMX", matrix_unit() == MatrixUnit::kUsed) << matrix_unit_status();
  EXPECT_EQ(best == "AMX", has_bf16_tiles());
  EXPECT_EQ(matrix_unit_status() == "AMX", has_bf16_tiles());
  for (const std::string& target : supported_targets()) {
    const ForceTarget forced(target);
    EXPECT_EQ(chosen_target(), target);
    EXPECT_EQ(has_bf16_tiles(), target == "AMX");
    EXPECT_EQ(has_bf16(), target == "AMX" || target == "AVX3");
    if (best == "AMX" && target != best) EXPECT_EQ(matrix_unit_status(), "no AMX: target " + target + " is forced");
  }
  if (best != "AMX") {
    EXPECT_EQ(testing::error_line([] { force_target("AMX"); }).find("target must be one of AVX"), 0U);
  }
}

#if defined(__x86_64__)

std::vector<std::uint8_t> configuration() {
  alignas(64) std::uint8_t bytes[64] = {};
  asm volatile("sttilecfg (%0)" : : "r"(bytes) : "memory");
  return {bytes, bytes + 64};
}

TEST(MatrixUnit, ASessionLeavesTheThreadAsItWas) {
  if (!has_bf16_tiles()) GTEST_SKIP() << matrix_unit_status();
  EXPECT_EQ(configuration()[0], 0) << "a fresh thread has no configuration";
  { const MatrixSession session; }
  EXPECT_EQ(configuration()[0], 0);

  alignas(64) std::uint8_t theirs[64] = {1};  // what another library might have set
  theirs[16] = 48, theirs[18] = 64, theirs[48] = 7, theirs[49] = 16;
  asm volatile("ldtilecfg (%0)" : : "r"(theirs) : "memory");
  const std::vector<std::uint8_t> before = configuration();
  {
    const MatrixSession session;
    EXPECT_NE(configuration(), before);
    { const MatrixSession inner; }
    EXPECT_EQ(configuration()[48 + 7], 16) << "an inner session gives back the outer one's";
  }
  EXPECT_EQ(configuration(), before);
  asm volatile("tilerelease" : : : "memory");
}

#endif

}  // namespace
}  // namespace saccade::kernel
