#include "saccade/combine/partial.h"

#include <gtest/gtest.h>

#include "tests/laws/combine_laws.h"

namespace saccade {
namespace {

using testing::OwnedPartial;
using testing::Random;

TEST(Partial, KeepsTheLaws) {
  std::uint64_t seed = 1;
  for (const std::size_t dim : {1, 7, 8, 64, 256}) {
    for (const float level : {0.0F, 5.0F, -40.0F, 1e4F, -1e4F}) {
      for (const float spread : {0.0F, 0.5F, 10.0F, 1e4F}) testing::check_combine_laws(dim, level, spread, seed++);
    }
  }
}

// Values 1, 2 | 3 with scores 0, ln 2 | ln 3: (5/3, ln 3) and (3, ln 3) are (7/3, ln 6).
TEST(Partial, WorkedByHand) {
  const OwnedPartial joined = testing::merged({{5.0F / 3.0F}, std::log(3.0F)}, {{3.0F}, std::log(3.0F)});
  EXPECT_FLOAT_EQ(joined.o[0], 7.0F / 3.0F);
  EXPECT_FLOAT_EQ(joined.lse, std::log(6.0F));
}

TEST(Partial, AnySplitIsTheWhole) {
  std::uint64_t seed = 1;
  for (const Pos kv_len : {1, 2, 31, 128, 1009}) {
    for (const float gain : {1.0F, 30.0F, 1e4F}) {
      Random random(++seed);
      oracle::Inputs in{.q_len = 1, .kv_len = kv_len, .head_dim = 32, .kv_head = {0}, .scale = gain / std::sqrt(32.0F)};
      for (Pos c = 0; c < in.head_dim; ++c) in.q.push_back(random.normal());
      for (Pos n = 0; n < kv_len * in.head_dim; ++n) in.k.push_back(random.normal()), in.v.push_back(random.normal());
      testing::check_any_split(in, {kv_len}, seed);
      testing::check_any_split(in, {0, kv_len, kv_len}, seed);
      for (const Pos longest : {1, 7, 128}) {
        std::vector<Pos> ends;
        for (Pos end = 0; end < kv_len;) ends.push_back(end = std::min(kv_len, end + random.between(1, longest)));
        testing::check_any_split(in, ends, seed);
      }
    }
  }
}

// A score without a value is a partial result of zeros, and joining it the same merge, bit for bit.
TEST(Partial, AScoreWithoutAValueIsAMergeWithZeros) {
  const float nothing = -std::numeric_limits<float>::infinity();
  for (const float lse : {nothing, -1e5F, -3.0F, 0.0F, 2.5F, 1e5F}) {
    for (const float score : {nothing, -1e5F, -3.0F, 0.0F, 2.5F, 1e5F}) {
      std::vector<float> o{0.1F, -7.0F, 3.0F};
      if (lse == nothing) o.assign(3, 0.0F);
      const OwnedPartial joined = testing::merged({o, lse}, {{0.0F, 0.0F, 0.0F}, score});
      Partial with_score{o, lse};
      merge_score(with_score, score);
      EXPECT_EQ(o, joined.o) << lse << " with " << score;
      EXPECT_EQ(with_score.lse, joined.lse) << lse << " with " << score;
    }
  }
}

TEST(Partial, MergesIntoItsOwnStorage) {
  std::vector<float> room{1.0F, 2.0F, 3.0F, 4.0F};
  Partial into{std::span(room).first(2), 0.0F};
  merge(into, Partial{std::span(room).last(2), 0.0F});
  EXPECT_EQ(room, (std::vector<float>{2.0F, 3.0F, 3.0F, 4.0F})) << "only `into` is written";
}

}  // namespace
}  // namespace saccade
