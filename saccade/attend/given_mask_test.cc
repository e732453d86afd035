#include "saccade/attend/given_mask.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <utility>

namespace saccade {
namespace {

constexpr float kHide = -std::numeric_limits<float>::infinity();

/// A mask with one row of `stride` values per query; f16 holds only 0, 1, -0, inf, -inf and NaN, which is enough here.
struct Mask {
  Pos q_len, kv_len, stride;
  std::vector<float> values;
  std::vector<std::uint16_t> halves;

  Mask(Pos q, Pos kv, Pos padding, auto&& value_of)
      : q_len(q), kv_len(kv), stride(kv + padding), values(static_cast<std::size_t>(q * stride), 7.0F) {
    for (Pos i = 0; i < q; ++i) {
      for (Pos j = 0; j < kv; ++j) at(i, j) = value_of(i, j);
    }
  }
  float& at(Pos i, Pos j) { return values[static_cast<std::size_t>(i * stride + j)]; }

  BiasView view(DType dtype) {
    if (dtype == DType::f32) return {values.data(), DType::f32, stride * 4};
    halves.clear();
    for (const float value : values) {
      halves.push_back(std::isnan(value) ? 0x7e00
                       : value == kHide  ? 0xfc00
                       : value == 1.0F   ? 0x3c00
                       : value == 0.0F   ? 0
                                         : 0x4700);
      if (value == 0.0F && std::signbit(value)) halves.back() = 0x8000;
    }
    return {halves.data(), DType::f16, stride * 2};
  }
};

/// admits, visits, mask, pairs and has_bias must all tell the story that the values tell.
void check(Mask& mask, DType dtype, Team& team, Pos most_visible = GivenMask::kNoBound) {
  const GivenMask given(mask.view(dtype), mask.q_len, mask.kv_len, team, most_visible);
  std::int64_t pairs = 0;
  bool has_bias = false;
  for (Pos i = 0; i < mask.q_len; ++i) {
    for (Pos j = 0; j < mask.kv_len; ++j) {
      const bool visible = mask.at(i, j) != kHide;
      ASSERT_EQ(given.admits(i, j), visible) << i << ", " << j;
      pairs += visible ? 1 : 0;
      has_bias = has_bias || (visible && mask.at(i, j) != 0.0F);
    }
  }
  EXPECT_EQ(given.pairs(), pairs);
  EXPECT_EQ(given.has_bias(), has_bias);
  VisitList visits;
  for (const Pos block_q : {1, 7, 32, 96}) {
    for (Pos begin = 0; begin < mask.q_len; begin += block_q) {
      const Range block{begin, std::min(begin + block_q, mask.q_len)};
      given.visits(block, visits);
      Pos end = 0, visited = 0, admitted = 0;
      for (const Visit& visit : visits) {
        EXPECT_LE(end, visit.keys.begin);
        EXPECT_FALSE(visit.keys.empty());
        end = visit.keys.end;
        std::vector<std::uint32_t> words(static_cast<std::size_t>((visit.keys.size() + 31) / 32), ~0U);
        for (Pos i = block.begin; i < block.end; ++i) {
          given.mask(i, visit.keys, words.data());
          for (Pos j = 0; j < static_cast<Pos>(words.size()) * 32; ++j) {
            const bool bit = (words[static_cast<std::size_t>(j / 32)] >> (j % 32) & 1U) != 0;
            const Pos key = visit.keys.begin + j;
            EXPECT_EQ(bit, j < visit.keys.size() && mask.at(i, key) != kHide);
            visited += bit ? 1 : 0;
            if (visit.full && j < visit.keys.size()) EXPECT_EQ(mask.at(i, key), 0.0F);
          }
        }
      }
      EXPECT_LE(end, mask.kv_len);
      for (Pos i = block.begin; i < block.end; ++i) {
        for (Pos j = 0; j < mask.kv_len; ++j) admitted += mask.at(i, j) != kHide ? 1 : 0;
      }
      EXPECT_EQ(visited, admitted);
    }
  }
}

TEST(GivenMask, TellsWhatTheValuesTell) {
  const auto team = make_thread_team(3);
  std::mt19937 random(7);
  const auto one_of = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  for (const DType dtype : {DType::f16, DType::f32}) {
    for (int round = 0; round < 20; ++round) {
      const Pos q = 1 + one_of(100);
      const Pos kv = 1 + one_of(500);
      const int kind = round % 5;
      const Pos window = 1 + one_of(200);
      Mask mask(q, kv, one_of(9), [&](Pos i, Pos j) {
        switch (kind) {
          case 0:
            return 0.0F;
          case 1:
            return kHide;
          case 2:
            return one_of(2) == 0 ? -0.0F : kHide;
          case 3:
            return j <= i + kv - q && j > i + kv - q - window ? 0.0F : kHide;
          default:
            return one_of(3) == 0 ? 1.0F : one_of(2) == 0 ? std::nanf("") : kHide;
        }
      });
      check(mask, dtype, *team);
    }
  }
}

TEST(GivenMask, LargeEnoughForTheTeam) {
  const auto team = make_thread_team(2);
  Mask mask(130, 2049, 3, [](Pos i, Pos j) { return j <= i + 1000 && j != 77 ? 0.0F : kHide; });
  check(mask, DType::f16, *team);
  EXPECT_EQ(causal_run(mask.view(DType::f16), 130, 2049, *team), std::nullopt);
}

TEST(GivenMask, WithoutDataEverythingIsVisible) {
  Alone alone;
  const GivenMask given({}, 3, 40, alone);
  EXPECT_TRUE(given.admits(2, 39));
  EXPECT_FALSE(given.admits(2, 40));
  EXPECT_EQ(given.pairs(), 120);
  VisitList visits;
  given.visits({0, 3}, visits);
  EXPECT_EQ(visits, (VisitList{{{0, 40}, true}}));
  std::uint32_t words[2];
  given.mask(0, {0, 40}, words);
  EXPECT_EQ(words[0], ~0U);
  EXPECT_EQ(words[1], 0xffU);
  EXPECT_EQ(causal_run({}, 3, 40, alone), std::nullopt);
}

// Keys behind the last one that a row may show are not looked at: here they lie, and would be visible.
TEST(GivenMask, ABoundOnVisibleKeysSavesReading) {
  Alone alone;
  const Pos q = 70, kv = 1024, shown = 130;
  Mask honest(q, kv, 0, [&](Pos i, Pos j) { return j >= i && j < i + shown ? 0.0F : kHide; });
  check(honest, DType::f16, alone, shown);
  check(honest, DType::f32, alone, shown + 40);
  Mask lying(q, kv, 0, [&](Pos i, Pos j) { return (j >= i && j < i + shown) || j >= 384 ? 0.0F : kHide; });
  const GivenMask given(lying.view(DType::f16), q, kv, alone, shown);
  EXPECT_EQ(given.pairs(), q * shown);
  VisitList visits;
  given.visits({0, q}, visits);
  EXPECT_EQ(visits.back().keys.end, 256);
}

TEST(CausalRun, ABoundOnVisibleKeysRulesItOut) {
  Alone alone;
  Mask mask(20, 300, 0, [](Pos i, Pos j) { return j <= 100 + i ? 0.0F : kHide; });
  EXPECT_EQ(causal_run(mask.view(DType::f16), 20, 300, alone, 120), 100);
  EXPECT_EQ(causal_run(mask.view(DType::f16), 20, 300, alone, 119), std::nullopt);
}

TEST(CausalRun, FindsTheFirstPosition) {
  const auto team = make_thread_team(2);
  for (const DType dtype : {DType::f16, DType::f32}) {
    for (const Pos p0 : {0, 1, 31, 500}) {
      for (const Pos q : {1, 2, 33, 300}) {
        Mask mask(q, p0 + q + 256, 5, [&](Pos i, Pos j) { return j <= p0 + i ? 0.0F : kHide; });
        EXPECT_EQ(causal_run(mask.view(dtype), q, mask.kv_len, *team), p0);
        EXPECT_EQ(causal_run(mask.view(dtype), q, p0 + q, *team), p0);
      }
    }
  }
}

TEST(CausalRun, IsKnownByItsEnds) {
  for (const DType dtype : {DType::f16, DType::f32}) {
    Mask mask(30, 200, 3, [](Pos i, Pos j) { return j <= 100 + i ? 0.0F : kHide; });
    EXPECT_TRUE(ends_as_causal_run(mask.view(dtype), 30, 200, 100));
    EXPECT_TRUE(ends_as_causal_run(mask.view(dtype), 30, 130, 100)) << "nothing behind the last row's last key";
    for (const Pos other : {-1, 0, 99, 101, 171}) {
      EXPECT_FALSE(ends_as_causal_run(mask.view(dtype), 30, 200, other)) << other;
    }
    for (const auto& [j, value] : {std::pair<Pos, float>{0, kHide}, {112, kHide}, {113, 0.0F}, {112, 1.0F}}) {
      const float before = std::exchange(mask.at(12, j), value);
      EXPECT_FALSE(ends_as_causal_run(mask.view(dtype), 30, 200, 100)) << j << ' ' << value;
      mask.at(12, j) = before;
    }
  }
}

TEST(CausalRun, EveryDifferenceCounts) {
  const auto team = make_thread_team(2);
  const Pos q = 200, p0 = 700, kv = 1024;
  Mask mask(q, kv, 0, [&](Pos i, Pos j) { return j <= p0 + i ? 0.0F : kHide; });
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    const Pos i = random() % q;
    const Pos j = random() % kv;
    const float before = mask.at(i, j);
    for (const float other : {0.0F, kHide, 1.0F, std::nanf("")}) {
      mask.at(i, j) = other;
      const bool same = other == before;
      EXPECT_EQ(causal_run(mask.view(DType::f16), q, kv, *team).has_value(), same) << i << ", " << j << ": " << other;
    }
    mask.at(i, j) = before;
  }
  EXPECT_EQ(causal_run(mask.view(DType::f16), q, p0 + q - 1, *team), std::nullopt);  // the last key is cut off
}

TEST(CausalRun, ARowThatSeesNothingIsNone) {
  Alone alone;
  Mask mask(2, 8, 0, [](Pos i, Pos j) { return i == 1 && j == 0 ? 0.0F : kHide; });
  EXPECT_EQ(causal_run(mask.view(DType::f16), 2, 8, alone), std::nullopt);
}

}  // namespace
}  // namespace saccade
