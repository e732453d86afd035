#include "saccade/judge/mass.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "saccade/where/choice.h"
#include "saccade/where/dense.h"
#include "saccade/where/none.h"
#include "saccade/where/random.h"
#include "tests/support/judge_cases.h"

namespace saccade::judge {
namespace {

using testing::AttendCase;
using testing::Attended;
using testing::Problem;
using testing::team_of;
using testing::used_workspace;

constexpr auto kCausal = [](Pos q_pos, Pos k_pos) { return k_pos <= q_pos; };

/// The definitions, in plain loops of type T.
template <class T>
struct Defined {
  T mass = 0, random = 0, uniform = 0, oracle = 0;

  Defined(const Problem& problem, Pos i, Pos head) {
    const oracle::Inputs& in = problem.in;
    const Pos q_pos = in.q_begin + i, n = std::min(in.kv_len, q_pos + 1);
    std::vector<T> weights;
    T most = -std::numeric_limits<T>::infinity(), sum = 0;
    for (Pos j = 0; j < n; ++j) {
      T dot = 0;
      for (Pos c = 0; c < in.head_dim; ++c) dot += T{in.q_row(i, head)[c]} * T{in.k_row(j, head)[c]};
      weights.push_back(weigh::Softcap{problem.c.softcap}.shape(T{in.scale} * dot));
      most = std::max(most, weights.back());
    }
    for (T& weight : weights) sum += weight = std::exp(weight - most);
    for (T& weight : weights) weight /= sum;
    Pos n_chosen = 0;
    const Pos own = (n - 1) / 128 * 128;
    T own_mass = 0;
    for (Pos j = 0; j < n; ++j) {
      const T weight = weights[static_cast<std::size_t>(j)];
      if (problem.where(head).admits(q_pos, j)) ++n_chosen, mass += weight;
      if (j >= own) own_mass += weight;
    }
    uniform = T(n_chosen) / T(n);
    random = n_chosen <= n - own ? own_mass * T(n_chosen) / T(n - own)
                                 : own_mass + (1 - own_mass) * T(n_chosen - (n - own)) / T(own);
    std::ranges::sort(weights, std::greater<>());
    for (Pos j = 0; j < n_chosen; ++j) oracle += weights[static_cast<std::size_t>(j)];
  }
};

/// The rule of oracle/expected.h for shares of a whole, which is 1.
::testing::AssertionResult near(double actual, double exact, double plain) {
  const double allowed = 2 * std::fabs(plain - exact) + 4 * std::numeric_limits<float>::epsilon();
  if (std::fabs(actual - exact) <= allowed) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << actual << " is not " << exact << " +- " << allowed;
}

void check_rows(const AttendCase& c) {
  const Attended attended(c);
  const Problem& problem = attended.problem;
  const AttendCall& call = attended.call;
  const auto shape = [&](auto score) { return weigh::Softcap{c.softcap}.shape(score); };
  for (int head = 0; head < c.n_heads; ++head) {
    for (const Pos i : sample_rows(c.q_len, 5, 3)) {
      const DenseRows dense = dense_rows(call, head, std::vector<Pos>{i}, team_of(2), true);
      const std::vector<float> o(dense.o.begin(), dense.o.end());
      ASSERT_TRUE(oracle::judge(oracle::expect_row(problem.in, i, head, kCausal, shape), o, nullptr, c.seed)) << c;
      const HeadMass row = judge_head(dense, head, problem.where(head), call.o);
      const Defined<double> exact(problem, i, head);
      const Defined<float> plain(problem, i, head);
      ASSERT_TRUE(near(row.mass(), exact.mass, plain.mass)) << "mass " << c;
      ASSERT_TRUE(near(row.mass_random(), exact.random, plain.random)) << "random " << c;
      ASSERT_TRUE(near(row.mass_uniform(), exact.uniform, plain.uniform)) << "uniform " << c;
      ASSERT_TRUE(near(row.mass_oracle(), exact.oracle, plain.oracle)) << "oracle " << c;
      ASSERT_EQ(row.density(), row.mass_uniform());
      // No other choice of as many keys recovers more than the largest ones.
      ASSERT_LE(row.mass(), row.mass_oracle() + 4 * std::numeric_limits<float>::epsilon());
    }
  }
}

TEST(Mass, EqualsTheDefinition) {
  const DType types[] = {DType::f32, DType::f16, DType::bf16, DType::q8_0, DType::q4_0};
  const WherePtr window = make_where(where::Window{90}), wide = make_where(where::Window{200});
  const WherePtr more[] = {window, wide, wide, window, make_where(where::None{})};
  for (const AttendCase& c : testing::judge_cases(types, more)) check_rows(c);
}

TEST(Mass, DenseRecoversEverything) {
  const Attended attended({.seed = 2, .q_len = 40, .kv_len = 700, .n_heads = 2});
  const auto rows = sample_rows(40, 8);
  const auto masses = judge_call(attended.call, rows, team_of(2), true);
  for (std::size_t h = 0; h < masses.size(); ++h) {
    const HeadMass& head = masses[h];
    EXPECT_EQ(head.n_rows, 8);
    EXPECT_EQ(head.density(), 1);
    for (const double mass : {head.mass(), head.mass_random(), head.mass_uniform(), head.mass_oracle()})
      EXPECT_TRUE(near(mass, 1, 1));
    // Both are attention in f32, each within the rule of oracle/expected.h of the definition.
    double allowed = 0;
    for (const Pos i : rows) {
      const auto row =
          oracle::expect_row(attended.problem.in, i, static_cast<Pos>(h), kCausal, [](auto score) { return score; });
      allowed += 64 * (2 * row.allowed_o()) * (2 * row.allowed_o());
    }
    EXPECT_LT(head.output_error(), std::sqrt(allowed / head.o_squares));
  }
}

/// A call of one query at position 3 whose scores are 0, ln 2, ln 3, ln 4, values 1, 2, 3, 4 in every channel.
struct ByHand {
  ByHand() {
    q.resize(32, 0.0F), k.resize(4 * 32, 0.0F), v.resize(4 * 32), o.resize(32, 0.0F);
    q[0] = 1;
    for (std::size_t j = 0; j < 4; ++j) {
      k[32 * j] = std::log(static_cast<float>(j + 1));
      std::fill_n(v.begin() + static_cast<std::ptrdiff_t>(32 * j), 32, static_cast<float>(j + 1));
    }
    call.q = {q.data(), DType::f32, 1, 1, 32, 128, 128};
    call.k = {k.data(), DType::f32, 4, 1, 32, 128, 128};
    call.v = {v.data(), DType::f32, 4, 1, 32, 128, 128};
    call.o = {o.data(), 1, 1, 32, 128, 128};
    call.where = {&where, 1};
    call.scale = 1.0F;
    call.q_begin = 3;
  }
  std::vector<float> q, k, v, o;
  WherePtr window = make_where(where::Window{2});
  const Where* where = window.get();
  AttendCall call;
};

TEST(Mass, WorkedByHand) {
  // Weights 0.1, 0.2, 0.3, 0.4; dense o = 1 (0.1) + 2 (0.2) + 3 (0.3) + 4 (0.4) = 3. The window sees keys 2 and 3:
  // mass 0.7, the largest two there are; o = (3 x 3 + 4 x 4) / 7 = 25/7, off by 4/7 of 3. Two of four keys at random:
  // 1/2.
  ByHand hand;
  attend(hand.call, team_of(1), used_workspace());
  const HeadMass head = judge_call(hand.call, std::vector<Pos>{0}, team_of(1), true).front();
  EXPECT_TRUE(near(head.mass(), 0.7, 0.7));
  EXPECT_TRUE(near(head.mass_oracle(), 0.7, 0.7));
  EXPECT_TRUE(near(head.mass_uniform(), 0.5, 0.5));
  EXPECT_TRUE(near(head.mass_random(), 0.5, 0.5)) << "the row's own block is all there is";
  EXPECT_TRUE(near(head.output_error(), 4.0 / 21, 4.0 / 21));
}

TEST(Mass, NothingChosenIsNothingRecovered) {
  ByHand hand;
  const HeadMass head = judge_head(dense_rows(hand.call, 0, std::vector<Pos>{0}, team_of(1), true), 0,
                                   *make_where(where::None{}), hand.call.o);
  EXPECT_EQ(head.mass(), 0);
  EXPECT_EQ(head.mass_oracle(), 0);
  EXPECT_EQ(head.density(), 0);
  EXPECT_EQ(head.output_error(), 1) << "o is 0";
}

/// What `random` recovers over many seeds is what mass_random expects of as many keys.
TEST(Mass, RandomIsTheMeanOfTheMechanism) {
  const Attended attended({.seed = 5, .q_len = 1, .kv_len = 128 * 9 + 50, .n_heads = 1, .gain = 3.0F});
  const AttendCall& call = attended.call;
  const DenseRows dense = dense_rows(call, 0, std::vector<Pos>{0}, team_of(1));
  const int heads[] = {0};
  const SelectCall select{
      .q = call.q, .k = call.k, .kv_head = heads, .heads = heads, .q_begin = call.q_begin, .team = &team_of(1)};
  double sum = 0, squares = 0, expected = 0;
  constexpr int kDraws = 1000;
  for (int seed = 1; seed <= kDraws; ++seed) {
    Selection drawn;
    where::Random{.density = 0.4, .seed = seed}.choose(select, drawn);
    const HeadMass mass = judge_head(dense, 0, *drawn.of_head.front(), call.o);
    sum += mass.mass(), squares += mass.mass() * mass.mass();
    expected = mass.mass_random();  // as many keys each time
  }
  const double mean = sum / kDraws, error = std::sqrt((squares / kDraws - mean * mean) / kDraws);
  EXPECT_GT(error, 0);
  EXPECT_LT(std::fabs(mean - expected), 4 * error);
}

TEST(Mass, TheTeamChangesNoBit) {
  const Attended attended(
      {.seed = 3, .q_len = 70, .kv_len = 2500, .n_heads = 2, .k_type = DType::f16, .v_type = DType::f16});
  const AttendCall& call = attended.call;
  const auto rows = sample_rows(70, 9);
  const DenseRows alone = dense_rows(call, 1, rows, team_of(1), true);
  for (const int size : {2, 5}) {
    const DenseRows together = dense_rows(call, 1, rows, team_of(size), true);
    EXPECT_EQ(alone.weights, together.weights);
    EXPECT_EQ(alone.sorted, together.sorted);
    EXPECT_EQ(alone.o, together.o);
  }
}

TEST(Mass, CallsAddUp) {
  HeadMass sum;
  EXPECT_EQ(sum.mass(), 1) << "nothing was judged";
  HeadMass one{.n_rows = 1, .pairs_chosen = 1, .pairs_visible = 4, .mass_sum = 0.5, .error_squares = 9, .o_squares = 1};
  HeadMass two{.n_rows = 3, .pairs_chosen = 3, .pairs_visible = 4, .mass_sum = 0.7, .error_squares = 0, .o_squares = 8};
  sum += one;
  sum += two;
  EXPECT_EQ(sum.density(), 0.5);
  EXPECT_DOUBLE_EQ(sum.mass(), 0.3);
  EXPECT_EQ(sum.output_error(), 1);
}

TEST(SampleRows, OneInEachPart) {
  EXPECT_EQ(sample_rows(8, 2), (std::vector<Pos>{2, 6}));
  EXPECT_EQ(sample_rows(3, 9), (std::vector<Pos>{0, 1, 2}));
  EXPECT_TRUE(sample_rows(0, 4).empty());
  for (const std::uint64_t seed : {1, 2, 3}) {
    const auto rows = sample_rows(1000, 10, seed);
    for (Pos i = 0; i < 10; ++i) EXPECT_EQ(rows[static_cast<std::size_t>(i)] / 100, i);
    EXPECT_EQ(rows, sample_rows(1000, 10, seed));
  }
  EXPECT_NE(sample_rows(1000, 10, 1), sample_rows(1000, 10, 2));
}

}  // namespace
}  // namespace saccade::judge
