#include "saccade/where/parts/scores.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

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

TEST(Pool, BoundsHoldForEveryRow) {
  Rows bounds{1, 16, std::vector<float>(16, 0.0F)};
  // Quest's own example: q = (1, -2), keys (1, 0), (0, 1), (-1, -1): bound 3, true maximum 1.
  const float q[8] = {1, -2};
  bounds.values = {-1, -1, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0};
  float bound = 0;
  bound_scores(q, bounds, {0, 1}, &bound);
  EXPECT_EQ(bound, 3.0F);

  testing::on_every_cpu([] {
    SelectProblem problem({.q_begin = 99, .q_len = 1, .head_dim = 64, .k_type = DType::f16});
    const Rows some = bounds_of_blocks(problem.k.view(), 0, 16, {0, 100});
    ASSERT_EQ(some.n, 7);
    const std::vector<float> query = problem.q.get(0, 0);
    std::vector<float> scores(7, std::nanf(""));
    bound_scores(query.data(), some, {2, 7}, scores.data() + 2);
    EXPECT_TRUE(std::isnan(scores[1]));
    for (Pos j = 32; j < 100; ++j) {
      const std::vector<float> key = problem.k.get(j, 0);
      const double slack = 64 * kEps * size_of(query.data(), key.data(), 64);
      EXPECT_LE(dot<double>(query.data(), key.data(), 64), scores[static_cast<std::size_t>(j / 16)] + slack) << j;
    }
  });
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

/// Sums of softmax weights by key and by distance, as T has them.
template <class T>
struct Sums {
  std::vector<T> column, diagonal;

  Sums(const SelectProblem& problem, const SelectCall& call, int head, Pos n_rows)
      : column(static_cast<std::size_t>(call.k.len)), diagonal(column) {
    for (Pos i = call.q.len - n_rows; i < call.q.len; ++i) {
      const Pos q_pos = call.q_begin + i;
      const std::vector<float> q = problem.q.get(i, head);
      std::vector<T> row;
      T most = -std::numeric_limits<T>::infinity(), sum = 0;
      for (Pos j = 0; j <= q_pos; ++j) {
        const std::vector<float> k = problem.k.get(j, call.kv_head[static_cast<std::size_t>(head)]);
        T score = T{call.scale} * dot<T>(q.data(), k.data(), call.q.dim);
        if (call.softcap > 0) score = T{call.softcap} * std::tanh(score / T{call.softcap});
        row.push_back(score);
        most = std::max(most, score);
      }
      for (T& score : row) sum += score = std::exp(score - most);
      for (Pos j = 0; j <= q_pos; ++j) {
        const T weight = row[static_cast<std::size_t>(j)] / sum;
        column[static_cast<std::size_t>(j)] += weight;
        diagonal[static_cast<std::size_t>(q_pos - j)] += weight;
      }
    }
  }
};

/// The one rule of tolerances, on sums of at most n_rows weights.
template <class A, class B>
double farthest(const std::vector<A>& a, const std::vector<B>& b) {
  double far = 0;
  for (std::size_t i = 0; i < a.size(); ++i) far = std::max(far, std::fabs(double{a[i]} - double{b[i]}));
  return far;
}

void expect_last_rows(const SelectProblem& problem, const SelectCall& call, int head, const LastRows& rows) {
  const Sums<double> exact(problem, call, head, rows.n_rows);
  const Sums<float> plain(problem, call, head, rows.n_rows);
  const double slack = 4 * kEps * static_cast<double>(rows.n_rows);
  EXPECT_LE(farthest(rows.column, exact.column), 2 * farthest(plain.column, exact.column) + slack) << problem.c;
  EXPECT_LE(farthest(rows.diagonal, exact.diagonal), 2 * farthest(plain.diagonal, exact.diagonal) + slack) << problem.c;
}

TEST(LastRows, SumColumnsAndDiagonalsOfTheSoftmax) {
  const std::vector<SelectCase> cases{
      {.q_begin = 0, .q_len = 1},
      {.q_begin = 0, .q_len = 3},
      {.q_begin = 100, .q_len = 1, .head_dim = 64},
      {.q_begin = 77, .q_len = 130, .n_heads = 4, .n_kv_heads = 2, .head_dim = 64, .k_type = DType::f16},
      {.q_begin = 500, .q_len = 129, .n_heads = 3, .head_dim = 128, .q_type = DType::f16, .k_type = DType::q8_0},
      {.q_begin = 1000, .q_len = 64, .n_heads = 1, .head_dim = 40, .layout = Layout::kPadded, .gain = 8.0F}};
  testing::on_every_cpu([&] {
    for (const SelectCase& c : cases) {
      const SelectProblem problem(c);
      Alone alone;
      for (const float softcap : {0.0F, 5.0F}) {
        SelectCall call = problem.call(alone);
        call.softcap = softcap;
        const int head = static_cast<int>(c.n_heads) - 1;
        const LastRows rows = look_at_last_rows(call, head, 128);
        EXPECT_EQ(rows.n_rows, std::min<Pos>(128, c.q_len));
        ASSERT_EQ(static_cast<Pos>(rows.column.size()), c.kv_len());
        expect_last_rows(problem, call, head, rows);
      }
    }
  });
}

}  // namespace
}  // namespace saccade
