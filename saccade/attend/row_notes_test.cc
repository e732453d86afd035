// What attend() tells probes. That it is right is the law beside each probe (saccade/see/*_test.cc); here are its
// corners.

#include "saccade/attend/row_notes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "saccade/see/class_masses.h"
#include "saccade/see/diagonals.h"
#include "saccade/see/distance.h"
#include "saccade/see/entropy.h"
#include "saccade/see/peaks.h"
#include "saccade/see/top_keys.h"
#include "saccade/where/none.h"
#include "saccade/where/sink.h"
#include "saccade/where/window.h"
#include "tests/support/attend_case.h"

namespace saccade {
namespace {

using testing::AttendCase;
using testing::Output;
using testing::Problem;
using testing::team_of;
using testing::used_workspace;

/// One of each probe that reads weights, and what they were told.
struct Told {
  explicit Told(const Problem& problem) : Told(problem, [](Told&) {}) {}
  /// `change`: what is asked for.
  Told(const Problem& problem, const std::function<void(Told&)>& change) {
    masses.spans = {{"begin", {0, 4}}, {"middle", {100, 200}}};
    diagonals.offsets = {0, 1, 60};
    top.per_head = true;
    change(*this);
    RowProbe* const probes[] = {&masses, &diagonals, &distance, &entropy, &peaks, &top};
    Output out = problem.output();
    std::vector<const Where*> where;
    AttendCall call = problem.call(out, where);
    call.probes = probes;
    attend(call, team_of(problem.c.team), used_workspace());
  }

  /// All numbers of a row but its best keys, and with them.
  std::vector<float> sums(int head, Pos q_position) const {
    std::vector<float> all;
    for (const see::PerRow* kept : {&masses.values(), &diagonals.values(), &distance.mean(), &distance.clipped(),
                                    &entropy.values(), &peaks.lse(), &peaks.largest()}) {
      all.insert(all.end(), kept->row(head, q_position), kept->row(head, q_position) + kept->width());
    }
    return all;
  }
  std::vector<float> row(int head, Pos q_position) const {
    std::vector<float> all = sums(head, q_position);
    for (const WeightedKey& key : top.row(head, q_position)) {
      all.push_back(static_cast<float>(key.position)), all.push_back(key.weight);
    }
    return all;
  }

  see::ClassMasses masses;
  see::Diagonals diagonals;
  see::Distance distance;
  see::Entropy entropy;
  see::Peaks peaks;
  see::TopKeys top;
};

bool can_run(Precision precision) {
  if (precision == Precision::kI16) return kernel::has_fixed();
  return precision == Precision::kF32 || kernel::has_bf16();
}

void poison(testing::Tensor& tensor, Pos key, float what) {
  std::vector<float> row = tensor.get(key, 0);
  row[5] = what;
  tensor.set(key, 0, row);
}

TEST(RowNotes, OfRowsThatDoNotLookAtPoisonKeepEveryBit) {
  constexpr Pos kPoisoned = 150;
  for (const Precision precision : {Precision::kF32, Precision::kI16}) {
    if (!can_run(precision)) continue;
    AttendCase c{.seed = 7, .q_len = 257, .kv_len = 257, .n_heads = 2, .n_kv_heads = 1, .precision = precision};
    Problem problem(c);
    const Told clean(problem);
    for (testing::Tensor* tensor : {&problem.k, &problem.v}) {
      poison(*tensor, kPoisoned, std::numeric_limits<float>::quiet_NaN());
      const Told told(problem);
      for (Pos q = 0; q < kPoisoned; ++q) ASSERT_EQ(told.row(1, q), clean.row(1, q)) << "query " << q;
    }
  }
}

/// Weights are of queries and keys alone. (In which precision a block runs does depend on its values.)
TEST(RowNotes, ValuesAreNobodysBusiness) {
  for (const Precision precision : {Precision::kF32, Precision::kI16, Precision::kBf16}) {
    if (!can_run(precision)) continue;
    AttendCase c{.seed = 8, .q_len = 130, .kv_len = 257, .n_heads = 2, .n_kv_heads = 1, .precision = precision};
    Problem problem(c);
    const Told clean(problem);
    poison(problem.v, 200, std::numeric_limits<float>::infinity());
    const Told told(problem);
    for (Pos q = 127; q < 257; ++q) {
      for (const float number : told.row(0, q)) ASSERT_TRUE(std::isfinite(number)) << "query " << q;
      ASSERT_EQ(told.top.row(0, q)[0].position, clean.top.row(0, q)[0].position) << "query " << q;
    }
  }
}

/// One poisoned block runs in f32 amid others in bf16: sums of both are sums of the row.
TEST(RowNotes, SumsOfBlocksInTwoPrecisionsJoin) {
  if (!kernel::has_bf16()) return;
  AttendCase c{.seed = 11, .q_len = 130, .kv_len = 1400, .n_heads = 2, .n_kv_heads = 1, .precision = Precision::kBf16};
  Problem problem(c);
  const Told clean(problem);
  for (const Pos poisoned : {Pos{3}, Pos{700}, Pos{1399}}) {
    Problem other(c);
    poison(other.v, poisoned, std::numeric_limits<float>::infinity());
    const Told told(other);
    for (Pos q = 1400 - 130; q < 1400; ++q) {
      const std::vector<float> expected = clean.sums(1, q), got = told.sums(1, q);
      for (std::size_t n = 0; n < expected.size(); ++n) {
        ASSERT_NEAR(got[n], expected[n], 0.01F * std::fabs(expected[n]) + 1e-3F) << "query " << q << ", number " << n;
      }
    }
  }
}

/// Within what the precisions differ by. Best keys: weights, since two keys may be too near to each other to be told
/// apart.
void expect_as_in_f32(AttendCase c, const std::function<void(Told&)>& change) {
  const Told exact(Problem(c), change);
  c.precision = Precision::kBf16;
  const Told told(Problem(c), change);
  const Pos first = exact.entropy.values().q_positions().begin;
  for (Pos q = first; q < first + c.q_len; ++q) {
    const std::vector<float> expected = exact.sums(1, q), got = told.sums(1, q);
    for (std::size_t n = 0; n < expected.size(); ++n) {
      ASSERT_NEAR(got[n], expected[n], 0.03F * std::fabs(expected[n]) + 3e-3F) << "query " << q << ", number " << n;
    }
    for (std::size_t n = 0; n < static_cast<std::size_t>(exact.top.k); ++n) {
      const WeightedKey key = told.top.row(1, q)[n], other = exact.top.row(1, q)[n];
      ASSERT_EQ(key.position < 0, other.position < 0) << "query " << q << ", key " << n;
      ASSERT_NEAR(key.weight, other.weight, 0.1F * other.weight) << "query " << q << ", key " << n;
    }
  }
}

TEST(RowNotes, OfManySpansFarClipsAndAnyNumberOfKeysAreInBf16AsInF32) {
  if (!kernel::has_bf16()) return;
  AttendCase c{.seed = 12, .q_len = 130, .kv_len = 1400, .n_heads = 2, .n_kv_heads = 1};
  for (const Pos k : {1, 8, 9, 17, 100}) {
    expect_as_in_f32(c, [k](Told& told) {
      for (Pos i = 0; i < 14; ++i) told.masses.spans.push_back({"more", {90 * i, 90 * i + 100}});
      told.distance.clip = k == 8 ? 1 : 1000 * k;
      told.top.k = k;
    });
    if (::testing::Test::HasFatalFailure()) return;
  }
}

TEST(RowNotes, OfQueriesFarBehindAllKeysAreInBf16AsInF32) {
  if (!kernel::has_bf16()) return;
  AttendCase c{.seed = 13, .q_len = 70, .kv_len = 300, .n_heads = 2, .n_kv_heads = 1, .q_begin = Pos{3} << 30};
  expect_as_in_f32(c, [](Told&) {});
}

/// Clipped at a million, distances are what they are: nothing of that size may be added and taken away again.
TEST(RowNotes, AFarClipCostsNoAccuracy) {
  AttendCase c{.seed = 14, .q_len = 130, .kv_len = 1400, .n_heads = 2, .n_kv_heads = 1, .gain = 16.0F};
  for (const Precision precision : {Precision::kF32, Precision::kI16, Precision::kBf16}) {
    if (!can_run(precision)) continue;
    c.precision = precision;
    const Told told(Problem(c), [](Told& asked) { asked.distance.clip = 1'000'000; });
    for (Pos q = 1270; q < 1400; ++q) {
      const float mean = *told.distance.mean().row(1, q);
      ASSERT_NEAR(*told.distance.clipped().row(1, q), mean, 0.005F * mean + 0.01F) << "query " << q;
    }
  }
}

/// All weights are the same: the first keys are the best, though they are visited after keys 384 to 639, since 96 wait
/// for more that all rows see.
TEST(RowNotes, AmongEqualsTheEarlierKeyComesFirst) {
  for (const Precision precision : {Precision::kF32, Precision::kI16, Precision::kBf16}) {
    if (!can_run(precision)) continue;
    AttendCase c{.seed = 15, .q_len = 150, .kv_len = 900, .n_heads = 2, .n_kv_heads = 1, .gain = 0.0F};
    c.where_name = "sink(96)+window(516)";
    c.where = {unite({make_where(where::Sink{96}), make_where(where::Window{516})})};
    c.precision = precision;
    const Told told(Problem{c});
    for (Pos q = 750; q < 900; ++q) {
      for (Pos n = 0; n < 8; ++n) {
        ASSERT_EQ(told.top.row(1, q)[static_cast<std::size_t>(n)].position, n) << "query " << q;
      }
    }
  }
}

TEST(RowNotes, OfRowsThatSeeNothingAreZero) {
  AttendCase c{.seed = 9, .q_len = 3, .kv_len = 5, .where_name = "none", .where = {make_where(where::None{})}};
  const Problem problem(c);
  const Told told(problem);
  for (const float number : {*told.entropy.values().row(0, 4), *told.distance.mean().row(0, 4),
                             *told.masses.values().row(0, 4), *told.diagonals.values().row(0, 4)}) {
    EXPECT_EQ(number, 0.0F);
  }
  EXPECT_EQ(told.top.row(0, 4)[0], WeightedKey{});
  EXPECT_EQ(*told.peaks.largest().row(0, 4), -std::numeric_limits<float>::infinity());
}

/// As much as nine keys of score 0.
TEST(RowNotes, ASinkScoreTakesWeight) {
  AttendCase c{.seed = 10, .q_len = 9, .kv_len = 9, .n_heads = 1, .n_kv_heads = 1, .scale = 0.0F};
  Problem problem(c);
  problem.in.sink_scores = {std::log(9.0F)};
  const Told told(problem);
  EXPECT_FLOAT_EQ(*told.masses.values().row(0, 8), 4.0F / 18);
  EXPECT_FLOAT_EQ(*told.entropy.values().row(0, 8), std::log(18.0F) / 2);
  EXPECT_FLOAT_EQ(*told.distance.mean().row(0, 8), 36.0F / 18);
  EXPECT_FLOAT_EQ(told.diagonals.values().row(0, 8)[1], 1.0F / 18);
  EXPECT_FLOAT_EQ(told.top.row(0, 8)[7].weight, 1.0F / 18);
  EXPECT_EQ(*told.peaks.largest().row(0, 8), 0.0F);
}

TEST(RankedKey, IsInTheOrderOfItsKey) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  std::vector<kernel::ScoredKey> keys;
  for (const float score : {-kInf, -3e38F, -1.0F, -1e-40F, 0.0F, 1e-40F, 1.0F, 1.0000001F, 3e38F, kInf}) {
    for (const std::int32_t position : {-1, 0, 1, 1 << 30}) keys.push_back({score, position});
  }
  for (const kernel::ScoredKey& a : keys) {
    const kernel::RankedKey ranked(a);
    EXPECT_EQ(ranked.key().score, a.score);
    EXPECT_EQ(ranked.key().position, a.position);
    for (const kernel::ScoredKey& b : keys) {
      if (a.position < 0 || b.position < 0) continue;  // no key
      EXPECT_EQ(ranked > kernel::RankedKey(b), a.beats(b)) << a.score << " " << b.score;
    }
  }
  EXPECT_EQ(kernel::RankedKey({-0.0F, 3}), kernel::RankedKey({0.0F, 3}));
}

/// Below 2^-126 of the largest weight there is nothing.
TEST(RowNotes, AKeyWithoutWeightIsNotListed) {
  AttendCase c{.seed = 11, .q_len = 2, .kv_len = 2, .n_heads = 1, .n_kv_heads = 1, .scale = 1.0F};
  Problem problem(c);
  for (Pos i = 0; i < 2; ++i) {
    std::vector<float> row(64, 0.0F);
    row[0] = 20.0F;
    problem.q.set(i, 0, row);
    row[0] = i == 0 ? 20.0F : 0.0F;
    problem.k.set(i, 0, row);
  }
  const Told told(problem);
  const std::span<const WeightedKey> keys = told.top.row(0, 1);
  EXPECT_EQ(keys[0].position, 0);
  EXPECT_EQ(keys[1], WeightedKey{});
}

}  // namespace
}  // namespace saccade
