#include "saccade/where/parts/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>

#include "saccade/kernel/bounds.h"
#include "tests/support/tensor.h"

namespace saccade {
namespace {

constexpr DType kTypes[] = {DType::f32, DType::f16, DType::bf16, DType::q8_0, DType::q4_0};

SelectCall call_on(const View& k, Range new_keys, Team& team) {
  SelectCall call;
  call.k = k, call.k.len = new_keys.end;
  call.q.len = new_keys.size(), call.q_begin = new_keys.begin;
  call.team = &team;
  return call;
}

/// All bits, so that NaN compares too; lanes of blocks that are not there are nobody's business.
void expect_same(const KeyMeans& a, const KeyMeans& b, const std::string& when) {
  ASSERT_EQ(a.n_blocks, b.n_blocks) << when;
  for (std::size_t head = 0; head < a.of_head.size(); ++head) {
    ASSERT_EQ(a.of_head[head].size(), b.of_head[head].size()) << when;
    EXPECT_EQ(std::memcmp(a.of_head[head].data(), b.of_head[head].data(), a.of_head[head].size() * sizeof(float)), 0)
        << when;
  }
}

std::uint16_t bound(const KeyBounds& bounds, std::size_t head, Pos t, bool largest, Pos c) {
  constexpr Pos kLanes = kernel::kBoundLanes;
  const Pos row = t / kLanes * 2 * bounds.dim + (largest ? bounds.dim : 0) + c;
  return bounds.of_head[head][static_cast<std::size_t>(row * kLanes + t % kLanes)];
}

void expect_same(const KeyBounds& a, const KeyBounds& b, const std::string& when) {
  ASSERT_EQ(a.n_blocks, b.n_blocks) << when;
  for (std::size_t head = 0; head < a.of_head.size(); ++head) {
    for (Pos t = 0; t < a.n_blocks; ++t) {
      for (Pos c = 0; c < a.dim; ++c) {
        ASSERT_EQ(bound(a, head, t, false, c), bound(b, head, t, false, c)) << when << ", block " << t;
        ASSERT_EQ(bound(a, head, t, true, c), bound(b, head, t, true, c)) << when << ", block " << t;
      }
    }
  }
}

/// Appends, rewinds and other prompts at random: what is remembered is what a new look at all keys gives.
TEST(KeyMemory, IsWhatARecomputationGives) {
  for (const DType dtype : kTypes) {
    testing::Random random(static_cast<std::uint64_t>(dtype) + 3);
    const auto team = make_thread_team(3);
    Alone alone;
    testing::Tensor k(dtype, 1200, 2, 32, testing::Layout::kPadded);
    k.fill(random, 3.0F);
    KeyMemory memory;
    Pos len = 0;
    std::vector<float> row(32);
    for (int step = 0; step < 60; ++step) {
      std::string when = std::string(name_of(dtype)) + ", step " + std::to_string(step);
      const auto rewrite = [&](Range keys) {
        for (Pos i = keys.begin; i < keys.end; ++i) {
          for (Pos head = 0; head < 2; ++head) {
            for (float& x : row) x = 5.0F * random.normal();
            k.set(i, head, row);
          }
        }
      };
      Pos begin = len;
      switch (random.between(0, 5)) {
        case 0:  // from an earlier position on
          begin = random.between(0, len), when += ", rewound to " + std::to_string(begin);
          break;
        case 1:  // somebody else's text, as long as this one
          rewrite({0, len}), when += ", replaced";
          break;
        case 2:  // all but the first token, which prompts tend to share
          if (len > 1) rewrite({1, len}), when += ", replaced but for the first";
          break;
        default:
          break;
      }
      len = std::min<Pos>(k.view().len, begin + random.pick<Pos>({1, 1, 1, 2, 15, 16, 17, 100, 300}));
      if (len == k.view().len) begin = 0, len = random.between(1, 40);
      rewrite({begin, len});
      const SelectCall call = call_on(k.view(), {begin, len}, *team), anew = call_on(k.view(), {0, len}, alone);
      memory.begin_call(call);
      for (const Pos block : {16, 50}) {
        KeyMemory fresh;
        if (random.one_in(3)) continue;  // a call may ask for nothing, and the next one finds more new keys
        expect_same(memory.means(call, block), fresh.means(anew, block), when);
        expect_same(memory.bounds(call, block), fresh.bounds(anew, block), when);
        expect_same(memory.bounds(call, block), fresh.bounds(anew, block), when + ", asked again");
      }
    }
  }
}

TEST(KeyMemory, HoldsMeansAndTheTightestBoundsThatHalvesCanBe) {
  for (const DType dtype : kTypes) {
    testing::Random random(11);
    Alone alone;
    testing::Tensor k(dtype, 77, 3, 64, testing::Layout::kHeadMajor);
    k.fill(random, 9.0F);
    KeyMemory memory;
    const SelectCall call = call_on(k.view(), {70, 77}, alone);
    const KeyMeans& means = memory.means(call, 16);
    const KeyBounds& bounds = memory.bounds(call, 16);
    EXPECT_EQ(bounds.n_blocks, 5);
    for (Pos head = 0; head < 3; ++head) {
      for (Pos t = 0; t < 5; ++t) {
        const Pos end = std::min<Pos>(77, (t + 1) * 16);
        for (Pos c = 0; c < 64; ++c) {
          double sum = 0, size = 0;
          float least = INFINITY, most = -INFINITY;
          for (Pos i = t * 16; i < end; ++i) {
            const float x = k.get(i, head)[static_cast<std::size_t>(c)];
            sum += x, size += std::fabs(x), least = std::min(least, x), most = std::max(most, x);
          }
          const auto n = static_cast<double>(end - t * 16);
          EXPECT_NEAR(means.mean(head, t)[static_cast<std::size_t>(c)], sum / n, std::ldexp(size, -24));
          const std::uint16_t low = bound(bounds, static_cast<std::size_t>(head), t, false, c);
          const std::uint16_t high = bound(bounds, static_cast<std::size_t>(head), t, true, c);
          EXPECT_LE(testing::decode_f16(low), least);
          EXPECT_GE(testing::decode_f16(high), most);
          const std::uint16_t nearest_low = testing::encode_f16(least), nearest_high = testing::encode_f16(most);
          EXPECT_LE(std::abs(low - nearest_low), 1);
          EXPECT_LE(std::abs(high - nearest_high), 1);
        }
      }
    }
  }
}

TEST(KeyMemory, ABlockWithANumberThatIsNoneHasNoBounds) {
  for (const float odd : {NAN, INFINITY}) {
    testing::Random random(2);
    Alone alone;
    testing::Tensor k(DType::f32, 40, 1, 32, testing::Layout::kTokenMajor);
    k.fill(random, 1.0F);
    std::vector<float> row(32, 1.0F);
    row[5] = odd;
    k.set(20, 0, row);
    KeyMemory memory;
    const KeyBounds& bounds = memory.bounds(call_on(k.view(), {0, 40}, alone), 16);
    EXPECT_TRUE(std::isnan(testing::decode_f16(bound(bounds, 0, 1, true, 5))));
    EXPECT_TRUE(std::isnan(testing::decode_f16(bound(bounds, 0, 1, false, 5))));
    EXPECT_FALSE(std::isnan(testing::decode_f16(bound(bounds, 0, 1, true, 4))));
    EXPECT_FALSE(std::isnan(testing::decode_f16(bound(bounds, 0, 0, true, 5))));
  }
}

TEST(KeyMemory, TakesAnEighthOfTheKeys) {
  testing::Random random(1);
  Alone alone;
  testing::Tensor k(DType::f16, 8192, 2, 64, testing::Layout::kTokenMajor);
  KeyMemory memory;
  memory.bounds(call_on(k.view(), {0, 8192}, alone), 16);
  const std::size_t key_bytes = 8192 * 2 * 64 * 2;
  EXPECT_LE(memory.bytes(), key_bytes / 8 + 1024);
  for (Pos i = 8192; i < 8300; ++i) memory.bounds(call_on(k.view(), {8191, 8192}, alone), 16);
  EXPECT_LE(memory.bytes(), key_bytes / 8 + 1024);
  memory.forget();
  EXPECT_EQ(memory.bytes(), 0U);
}

TEST(KeyMemory, AnotherShapeIsAnotherCache) {
  Alone alone;
  testing::Random random(1);
  testing::Tensor small(DType::f16, 64, 1, 32, testing::Layout::kTokenMajor),
      large(DType::f32, 64, 2, 64, testing::Layout::kTokenMajor);
  small.fill(random, 1.0F), large.fill(random, 1.0F);
  KeyMemory memory, fresh;
  memory.means(call_on(small.view(), {0, 64}, alone), 16);
  const KeyMeans& means = memory.means(call_on(large.view(), {63, 64}, alone), 16);
  expect_same(means, fresh.means(call_on(large.view(), {0, 64}, alone), 16), "larger");
}

}  // namespace
}  // namespace saccade
