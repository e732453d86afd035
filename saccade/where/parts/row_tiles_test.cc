#include "saccade/where/parts/row_tiles.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "saccade/kernel/fixed.h"
#include "saccade/oracle/fixed.h"
#include "tests/support/select_case.h"
#include "tests/tolerance.h"

namespace saccade {
namespace {

constexpr double kEps = std::numeric_limits<float>::epsilon();

Rows random_rows(Pos n, Pos dim, Random& random) {
  Rows rows{n, dim, std::vector<float>(static_cast<std::size_t>(n * dim))};
  for (float& x : rows.values) x = random.normal();
  return rows;
}

Rows part_of(const Rows& rows, Range some) {
  return {some.size(), rows.dim, {rows.row(some.begin), rows.row(some.begin) + some.size() * rows.dim}};
}

RowTiles tiles_of(const Rows& rows, Team& team) {
  return {rows.n, rows.dim, team, [&](Range some) { return part_of(rows, some); }};
}

std::vector<float> products(const RowTiles& tiles, const Rows& a, float scale, Pos n_b) {
  Buffer room;
  const std::size_t n = static_cast<std::size_t>(a.n * RowTiles::width(n_b));
  room.reserve(n * sizeof(float));
  auto* out = reinterpret_cast<float*>(room.data());
  std::fill_n(out, n, std::nanf(""));
  tiles.multiply(a, scale, n_b, out);
  return {out, out + n};
}

std::vector<double> rounded(const float* row, Pos dim) {
  return oracle::detail::rounded_row(row, dim, kernel::kRowNorm);
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t c = 0; c < a.size(); ++c) sum += a[c] * b[c];
  return sum;
}

/// Some rows in fp64, as they are and as 16 bits leave them, and the longest of them.
struct Exact {
  explicit Exact(const Rows& rows) {
    for (Pos i = 0; i < rows.n; ++i) {
      exact.emplace_back(rows.row(i), rows.row(i) + rows.dim);
      plain.push_back(rounded(rows.row(i), rows.dim));
      norm.push_back(std::sqrt(dot(exact.back(), exact.back())));
    }
  }
  std::vector<std::vector<double>> exact, plain;
  std::vector<double> norm;
};

/// The one rule of tolerances, row by row: twice what rounding the rows to 16 bits alone does, and 4 eps of f32 of the
/// most a product could have been. That leaves f32 room enough too.
void expect_products(const Rows& a, const Rows& b, const std::vector<float>& out, float scale) {
  const Exact left(a), right(b);
  const Pos width = RowTiles::width(b.n);
  for (Pos i = 0; i < a.n; ++i) {
    const auto at = static_cast<std::size_t>(i);
    std::vector<double> expected;
    double plain_error = 0, longest = 0;
    for (std::size_t j = 0; j < right.exact.size(); ++j) {
      expected.push_back(scale * dot(left.exact[at], right.exact[j]));
      plain_error = std::max(plain_error, std::fabs(scale * dot(left.plain[at], right.plain[j]) - expected[j]));
      longest = std::max(longest, std::fabs(scale) * left.norm[at] * right.norm[j]);
    }
    for (std::size_t j = 0; j < expected.size(); ++j) {
      const float got = out[static_cast<std::size_t>(i * width) + j];
      ASSERT_TRUE(testing::is_allowed(got, expected[j], 2 * plain_error + 4 * kEps * longest))
          << i << " " << j << " of " << a.n << " x " << b.n << " x " << a.dim << ": " << got << " for " << expected[j];
    }
  }
}

TEST(RowTiles, ProductsAreThoseOfFp64) {
  testing::on_every_cpu([] {
    Random random(11);
    const std::unique_ptr<Team> team = make_thread_team(2);
    for (const auto& [a_n, b_n, dim] :
         {std::tuple{1, 1, 8}, std::tuple{7, 47, 64}, std::tuple{8, 48, 520}, std::tuple{9, 49, 1024},
          std::tuple{17, 97, 1040}, std::tuple{3, 50, 8192}, std::tuple{0, 5, 64}}) {
      const Rows a = random_rows(a_n, dim, random), b = random_rows(b_n, dim, random);
      const RowTiles tiles = tiles_of(b, *team);
      EXPECT_EQ(tiles.fixed(), kernel::has_fixed());
      expect_products(a, b, products(tiles, a, 0.25F, b.n), 0.25F);
      if (b.n > 1) {
        const Rows first = part_of(b, {0, b.n / 2});
        expect_products(a, first, products(tiles, a, -2.0F, first.n), -2.0F);
      }
    }
  });
}

/// What the header promises, in 16 bits: about 1e-5 of |a| |b|, and sqrt(dim) / 32,000 of it whatever the rows hold.
TEST(RowTiles, ErrAsMuchAsTheySay) {
  if (!kernel::has_fixed()) GTEST_SKIP() << "no AVX-512 VNNI here";
  Random random(5);
  Alone alone;
  for (const Pos dim : {64, 1024, 8192}) {
    Rows b = random_rows(150, dim, random);
    const auto row = [&](Pos i) { return std::span(b.row(i), static_cast<std::size_t>(dim)); };
    const auto error = [&](Pos i, Pos j, const std::vector<float>& out) {
      const Exact two(part_of(b, {i, i + 1})), other(part_of(b, {j, j + 1}));
      const double fault =
          out[static_cast<std::size_t>(i * RowTiles::width(b.n) + j)] - dot(two.exact[0], other.exact[0]);
      return fault / std::max(two.norm[0] * other.norm[0], 1e-300);
    };
    double squares = 0;
    const std::vector<float> plain = products(tiles_of(b, alone), part_of(b, {0, 20}), 1.0F, b.n);
    for (Pos i = 0; i < 20; ++i) {
      for (Pos j = 0; j < b.n; ++j) squares += std::pow(error(i, j, plain), 2);
    }
    EXPECT_LT(std::sqrt(squares / (20.0 * static_cast<double>(b.n))), 1.1e-5) << dim;

    // All elements alike, so that all roundings are; a few large ones, which bind the scale; and tiny and huge rows.
    for (Pos i = 0; i < 20; ++i) {
      std::ranges::fill(row(i), 1.0F + 0.01F * static_cast<float>(i));
      if (i >= 5) row(i)[static_cast<std::size_t>(i)] = i < 10 ? 40.0F : 1e6F;
      if (i >= 15) std::ranges::fill(row(i), i % 2 == 0 ? 1e-15F : 1e12F);
    }
    const std::vector<float> hard = products(tiles_of(b, alone), part_of(b, {0, 20}), 1.0F, b.n);
    for (Pos i = 0; i < 20; ++i) {
      for (Pos j = 0; j < b.n; ++j) {
        EXPECT_LE(std::fabs(error(i, j, hard)), std::sqrt(static_cast<double>(dim)) / 32000) << i << " " << j;
      }
    }
  }
}

TEST(RowTiles, NumbersThatAreNoneRunInF32) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  testing::on_every_cpu([] {
    Random random(3);
    Alone alone;
    Rows a = random_rows(10, 64, random), b = random_rows(100, 64, random);
    b.row(70)[5] = -kInf;
    const RowTiles tiles = tiles_of(b, alone);
    EXPECT_FALSE(tiles.fixed());
    std::vector<float> out = products(tiles, a, 1.0F, b.n);
    const auto width = static_cast<std::size_t>(RowTiles::width(b.n));
    for (Pos i = 0; i < a.n; ++i) {
      float& sick = out[static_cast<std::size_t>(i) * width + 70];
      EXPECT_EQ(sick, a.row(i)[5] > 0 ? -kInf : kInf);
    }
    expect_products(a, part_of(b, {0, 70}), products(tiles, a, 1.0F, 70), 1.0F);

    b.row(70)[5] = 1.0F;
    a.row(3)[9] = std::nanf("");
    const std::vector<float> stained = products(tiles_of(b, alone), a, 1.0F, b.n);
    for (std::size_t i = 0; i < 10; ++i) {
      for (std::size_t j = 0; j < 100; ++j) EXPECT_EQ(std::isnan(stained[i * width + j]), i == 3) << i << " " << j;
    }
  });
}

}  // namespace
}  // namespace saccade
