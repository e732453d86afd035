#include "saccade/where/parts/scores.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "saccade/kernel/fixed.h"
#include "saccade/oracle/fixed.h"
#include "saccade/where/parts/last_rows.h"
#include "saccade/where/parts/pool.h"
#include "tests/support/select_case.h"
#include "tests/tolerance.h"

namespace saccade {
namespace {

using testing::Layout;
using testing::SelectCase;
using testing::SelectProblem;
using testing::Tensor;

constexpr double kEps = std::numeric_limits<float>::epsilon();

Rows random_rows(Pos n, Pos dim, Random& random) {
  Rows rows{n, dim, std::vector<float>(static_cast<std::size_t>(n * dim))};
  for (float& x : rows.values) x = random.normal();
  return rows;
}

/// The sum of products of two rows as T has it, and the largest that it could have been.
template <class T>
T dot(const float* a, const float* b, Pos dim) {
  T sum = 0;
  for (Pos c = 0; c < dim; ++c) sum += T{a[c]} * T{b[c]};
  return sum;
}

double size_of(const float* a, const float* b, Pos dim) {
  double sum = 0;
  for (Pos c = 0; c < dim; ++c) sum += std::fabs(double{a[c]} * double{b[c]});
  return sum;
}

TEST(Scores, RowsOfAnyTypeAreLoadedExactly) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::q8_0, DType::q4_0}) {
    for (const Layout layout : {Layout::kTokenMajor, Layout::kHeadMajor, Layout::kPadded}) {
      Tensor tensor(dtype, 9, 3, 64, layout);
      Random random(3);
      tensor.fill(random, 2.0F);
      const Rows rows = load(tensor.view(), 2, {4, 9});
      ASSERT_EQ(rows.n, 5);
      for (Pos i = 0; i < rows.n; ++i) {
        EXPECT_EQ(std::vector<float>(rows.row(i), rows.row(i) + 64), tensor.get(4 + i, 2));
      }
    }
  }
}

TEST(Scores, ProductsAreThoseOfFp64) {
  testing::on_every_cpu([] {
    Random random(7);
    for (const auto& [a_n, b_n, dim] : {std::tuple{1, 1, 8}, std::tuple{1, 100, 64}, std::tuple{3, 47, 40},
                                        std::tuple{8, 48, 128}, std::tuple{9, 49, 7}, std::tuple{17, 130, 576},
                                        std::tuple{5, 97, 1024}, std::tuple{128, 3, 64}, std::tuple{0, 5, 64}}) {
      const Rows a = random_rows(a_n, dim, random), b = random_rows(b_n, dim, random);
      std::vector<float> out(static_cast<std::size_t>(a_n * b_n) + 1, 77.0F);
      multiply(a, b, 0.25F, out.data());
      EXPECT_EQ(out.back(), 77.0F) << "written behind the end";
      for (Pos i = 0; i < a_n; ++i) {
        for (Pos j = 0; j < b_n; ++j) {
          const double exact = 0.25 * dot<double>(a.row(i), b.row(j), dim);
          const double plain = std::fabs(0.25F * dot<float>(a.row(i), b.row(j), dim) - exact);
          const double size = 0.25 * size_of(a.row(i), b.row(j), dim);
          ASSERT_TRUE(
              testing::is_allowed(out[static_cast<std::size_t>(i * b_n + j)], exact, 2 * plain + 4 * kEps * size))
              << i << " " << j << " of " << a_n << " x " << b_n << " x " << dim;
        }
      }
    }
  });
}

TEST(Scores, SoftmaxSumsToOneAndHidesWhatIsHidden) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  testing::on_every_cpu([] {
    std::vector<float> row{0.0F, std::log(3.0F), -kInf, 0.0F};
    softmax(row);
    EXPECT_FLOAT_EQ(row[0], 0.2F);
    EXPECT_FLOAT_EQ(row[1], 0.6F);
    EXPECT_EQ(row[2], 0.0F);
    std::vector<float> nothing(37, -kInf);
    softmax(nothing);
    EXPECT_EQ(nothing, std::vector<float>(37, 0.0F));
    std::vector<float> sick(21, 1.0F);
    sick[5] = std::nanf("");
    softmax(sick);
    EXPECT_TRUE(std::isnan(sick[0]));
    softmax({});
    Random random(2);
    std::vector<float> wide(1001);
    for (float& x : wide) x = 1e4F * random.normal();
    softmax(wide);
    double sum = 0;
    for (const float x : wide) sum += x;
    EXPECT_NEAR(sum, 1.0, 4 * kEps * static_cast<double>(wide.size()));
  });
}

TEST(Pool, MeansAreTrueMeansOfPartialBlocksToo) {
  Tensor tensor(DType::f32, 7, 1, 8, Layout::kTokenMajor);  // positions 3 to 9: blocks of 4 hold 1, 4 and 2 of them
  for (Pos i = 0; i < 7; ++i) tensor.set(i, 0, std::vector<float>(8, static_cast<float>(i + 3)));
  const Rows means = mean_of_blocks(tensor.view(), 0, 4, {3, 10}, 3);
  ASSERT_EQ(means.n, 3);
  EXPECT_EQ(means.row(0)[0], 3.0F);
  EXPECT_EQ(means.row(1)[7], 5.5F);
  EXPECT_EQ(means.row(2)[3], 8.5F);
  EXPECT_EQ(mean_of_blocks(tensor.view(), 0, 4, {5, 5}).n, 0);
}

TEST(Pool, ReversedStridesGiveSumsAlongAntidiagonals) {
  SelectProblem problem({.q_begin = 0, .q_len = 5, .n_heads = 1, .head_dim = 8});
  const Rows k = strided(problem.k.view(), 0, 2, {0, 5}, false);
  const Rows q = strided(problem.q.view(), 0, 2, {0, 5}, true);
  ASSERT_EQ(k.n, 3);
  std::vector<float> out(9);
  multiply(q, k, 1.0F, out.data());
  const auto of = [&](Pos i, Pos j) {
    return i < 5 && j < 5 ? dot<double>(problem.q.get(i, 0).data(), problem.k.get(j, 0).data(), 8) : 0.0;
  };
  for (Pos a = 0; a < 3; ++a) {
    for (Pos b = 0; b < 3; ++b) {
      EXPECT_NEAR(out[static_cast<std::size_t>(3 * a + b)], of(2 * a + 1, 2 * b) + of(2 * a, 2 * b + 1), 1e-4);
    }
  }
}

/// Sums of softmax weights by key and by distance, in fp64; `round` is what happens to rows of q and k before.
struct Sums {
  std::vector<double> column, diagonal;

  Sums() = default;
  template <class Round>
  Sums(const SelectProblem& problem, const SelectCall& call, int head, Pos n_rows, const Round& round)
      : column(static_cast<std::size_t>(call.k.len)), diagonal(column) {
    std::vector<std::vector<double>> keys;
    for (Pos j = 0; j < call.q_end(); ++j) {
      keys.push_back(round(problem.k.get(j, call.kv_head[static_cast<std::size_t>(head)])));
    }
    for (Pos i = call.q.len - n_rows; i < call.q.len; ++i) {
      const Pos q_pos = call.q_begin + i;
      const std::vector<double> q = round(problem.q.get(i, head));
      std::vector<double> row;
      double most = -std::numeric_limits<double>::infinity(), sum = 0;
      for (Pos j = 0; j <= q_pos; ++j) {
        const std::vector<double>& k = keys[static_cast<std::size_t>(j)];
        double score = 0;
        for (std::size_t c = 0; c < q.size(); ++c) score += q[c] * k[c];
        score *= call.scale;
        if (call.softcap > 0) score = call.softcap * std::tanh(score / call.softcap);
        row.push_back(score);
        most = std::max(most, score);
      }
      for (double& score : row) sum += score = std::exp(score - most);
      for (Pos j = 0; j <= q_pos; ++j) {
        const double weight = row[static_cast<std::size_t>(j)] / sum;
        column[static_cast<std::size_t>(j)] += weight;
        diagonal[static_cast<std::size_t>(q_pos - j)] += weight;
      }
    }
  }
};

/// The one rule of tolerances: twice what rounding q and k alone does, and 4 eps, of f16 to each sum of weights, of f32
/// to the most it could have been.
void expect_sums(const std::vector<float>& fast, const std::vector<double>& exact, const std::vector<double>& plain,
                 Pos n_rows) {
  double plain_error = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) plain_error = std::max(plain_error, std::fabs(plain[i] - exact[i]));
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const double allowed = 2 * plain_error + 4 * (exact[i] / 1024 + kEps * static_cast<double>(n_rows));
    ASSERT_TRUE(testing::is_allowed(fast[i], exact[i], allowed)) << i << ": " << fast[i] << " for " << exact[i];
  }
}

/// Sums of the last head, as they are and with q and k rounded; the definition is slow, so once for all CPU targets.
struct LastRowsCase {
  LastRowsCase(const SelectCase& c, float softcap)
      : problem(c),
        call(problem.call(alone)),
        head(static_cast<int>(c.n_heads) - 1),
        n_rows(std::min<Pos>(128, c.q_len)) {
    call.softcap = softcap;
    exact = Sums(problem, call, head, n_rows,
                 [](const std::vector<float>& row) { return std::vector<double>(row.begin(), row.end()); });
    plain = Sums(problem, call, head, n_rows, [](const std::vector<float>& row) {
      return oracle::detail::rounded_row(row.data(), static_cast<Pos>(row.size()), kernel::kRowNorm);
    });
  }

  SelectProblem problem;
  Alone alone;
  SelectCall call;
  int head;
  Pos n_rows;
  Sums exact, plain;
};

TEST(LastRows, SumColumnsAndDiagonalsOfTheSoftmax) {
  for (const SelectCase& c : std::vector<SelectCase>{
           {.q_begin = 0, .q_len = 1},
           {.q_begin = 0, .q_len = 3},
           {.q_begin = 100, .q_len = 1, .head_dim = 64},
           {.q_begin = 77, .q_len = 130, .n_heads = 4, .n_kv_heads = 2, .head_dim = 64, .k_type = DType::f16},
           {.q_begin = 500, .q_len = 129, .n_heads = 3, .head_dim = 128, .q_type = DType::f16, .k_type = DType::q8_0},
           {.q_begin = 1996, .q_len = 20, .n_heads = 1},  // ends with a chunk of keys, and just after one
           {.q_begin = 1996, .q_len = 21, .n_heads = 1, .gain = 3.0F},
           {.q_begin = 1000, .q_len = 64, .n_heads = 1, .head_dim = 40, .layout = Layout::kPadded, .gain = 8.0F}}) {
    for (const float softcap : {0.0F, 5.0F}) {
      const LastRowsCase what(c, softcap);
      SCOPED_TRACE(::testing::PrintToString(c));
      testing::on_every_cpu([&] {
        Buffer used;
        const LastRows rows = look_at_last_rows(what.call, LastRowsKeys(what.call), what.head, 128, used);
        EXPECT_EQ(rows.n_rows, what.n_rows);
        ASSERT_EQ(static_cast<Pos>(rows.column.size()), c.kv_len());
        expect_sums(rows.column, what.exact.column, what.plain.column, rows.n_rows);
        expect_sums(rows.diagonal, what.exact.diagonal, what.plain.diagonal, rows.n_rows);
        const LastRows again = look_at_last_rows(what.call, LastRowsKeys(what.call), what.head, 128, used);
        EXPECT_EQ(again.column, rows.column) << "leftovers in the room";
        EXPECT_EQ(again.diagonal, rows.diagonal) << "leftovers in the room";
      });
    }
  }
}

TEST(LastRows, WhatIsNoNumberStaysInTheKeysItsRowSees) {
  SelectProblem problem({.q_begin = 1996, .q_len = 21, .n_heads = 1});
  problem.q.set(5, 0, std::vector<float>(32, std::nanf("")));
  Alone alone;
  testing::on_every_cpu([&] {
    const LastRows rows = look_at_last_rows(problem.call(alone), 0, 21);
    for (std::size_t i = 0; i < rows.column.size(); ++i) {
      EXPECT_EQ(std::isnan(rows.column[i]), i <= 1996 + 5) << i;
      EXPECT_EQ(std::isnan(rows.diagonal[i]), i <= 1996 + 5) << i;
    }
  });
}

}  // namespace
}  // namespace saccade
