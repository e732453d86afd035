#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "saccade/combine/partial.h"
#include "saccade/oracle/attention.h"
#include "tests/support/random.h"
#include "tests/tolerance.h"

namespace saccade::testing {

/// A Partial that owns its o.
struct OwnedPartial {
  std::vector<float> o;
  float lse = -std::numeric_limits<float>::infinity();

  Partial view() { return {o, lse}; }
  template <class T>
  oracle::Row<T> row() const {
    return {{o.begin(), o.end()}, T{lse}, {}};
  }
  bool same_bits(const OwnedPartial& other) const {
    return std::memcmp(&lse, &other.lse, sizeof(float)) == 0 &&
           std::memcmp(o.data(), other.o.data(), o.size() * sizeof(float)) == 0;
  }
};

inline OwnedPartial empty_partial(std::size_t dim) { return {std::vector<float>(dim, 0.0F)}; }

inline OwnedPartial random_partial(std::size_t dim, float lse, Random& random) {
  OwnedPartial partial{std::vector<float>(dim), lse};
  for (float& x : partial.o) x = random.normal();
  return partial;
}

inline OwnedPartial merged(OwnedPartial a, OwnedPartial b) {
  Partial into = a.view();
  merge(into, b.view());
  a.lse = into.lse;
  return a;
}

namespace detail {

/// A result as a Partial keeps it, in f32: the one error that a chain of merges cannot avoid.
inline oracle::Row<double> stored(oracle::Row<double> row) {
  row.lse = static_cast<float>(row.lse);
  for (double& o : row.o) o = static_cast<float>(o);
  return row;
}

inline oracle::Row<double> stored_merge(const oracle::Row<double>& a, const oracle::Row<double>& b) {
  return stored(oracle::merge_rows(a, b));
}

/// Holds one way of joining `parts` against the same way in fp64, by the rule of tolerance.h; the plain loop is the
/// same in fp64 with every intermediate result rounded to f32.
/// tree(merge, parts) joins all parts with calls of `merge(a, b)`.
template <class Tree>
void expect_tree(const std::vector<OwnedPartial>& parts, std::uint64_t seed, const Tree& tree) {
  std::vector<oracle::Row<double>> rows;
  Expected expected;
  for (const OwnedPartial& part : parts) {
    rows.push_back(part.row<double>());
    for (const float x : part.o) expected.size = std::max<double>(expected.size, std::fabs(x));
  }
  expected.exact = tree(oracle::merge_rows<double>, rows);
  expected.compare_with(tree(stored_merge, rows));
  const OwnedPartial fast = tree(merged, parts);
  EXPECT_TRUE(judge(expected, fast.o, &fast.lse, seed)) << parts.size() << " parts";
}

}  // namespace detail

/// The laws of merge over random partials whose lse lie up to `spread` apart around `level`.
inline void check_combine_laws(std::size_t dim, float level, float spread, std::uint64_t seed) {
  SCOPED_TRACE("dim " + std::to_string(dim) + ", lse " + std::to_string(level) + " +- " + std::to_string(spread) +
               ", seed " + std::to_string(seed));
  Random random(seed);
  const auto any = [&] { return random_partial(dim, level + spread * random.normal(), random); };
  const OwnedPartial a = any(), b = any(), c = any(), nothing = empty_partial(dim);

  EXPECT_TRUE(merged(a, nothing).same_bits(a)) << "identity on the right";
  EXPECT_TRUE(merged(nothing, a).same_bits(a)) << "identity on the left";
  EXPECT_TRUE(merged(nothing, nothing).same_bits(nothing)) << "nothing on both sides";

  using detail::expect_tree;
  expect_tree({a, b}, seed, [](auto join, const auto& p) { return join(p[0], p[1]); });
  expect_tree({a, b}, seed, [](auto join, const auto& p) { return join(p[1], p[0]); });
  expect_tree({a, b, c}, seed, [](auto join, const auto& p) { return join(join(p[0], p[1]), p[2]); });
  expect_tree({a, b, c}, seed, [](auto join, const auto& p) { return join(p[0], join(p[1], p[2])); });
  expect_tree({a, nothing, nothing, c, b}, seed,
              [](auto join, const auto& p) { return join(join(p[0], p[1]), join(p[2], join(p[3], p[4]))); });

  OwnedPartial sick = b;
  sick.o[dim / 2] = std::numeric_limits<float>::quiet_NaN();
  const OwnedPartial joined = merged(a, sick), healthy = merged(a, b);
  for (std::size_t n = 0; n < dim; ++n) {
    if (n == dim / 2) {
      EXPECT_TRUE(std::isnan(joined.o[n])) << "a NaN is not lost";
    } else {
      EXPECT_EQ(joined.o[n], healthy.o[n]) << "a NaN in one element stays there";
    }
  }
  sick.lse = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(merged(a, sick).lse));
  EXPECT_TRUE(std::isnan(merged(sick, a).lse));
}

/// Any split of the keys of one row gives the whole. The parts are exact but for being stored in f32.
inline void check_any_split(const oracle::Inputs& in, const std::vector<Pos>& ends, std::uint64_t seed) {
  const auto alike = [](auto score) { return score; };
  Expected expected = expect_row(
      in, 0, 0, [](Pos, Pos) { return true; }, alike);
  OwnedPartial fast = empty_partial(static_cast<std::size_t>(in.head_dim));
  auto chain = fast.row<double>();
  Pos begin = 0;
  for (const Pos end : ends) {
    const auto part = oracle::attend_row<double>(
        in, 0, 0, [&](Pos, Pos k) { return k >= begin && k < end; }, alike);
    fast = merged(fast, {{part.o.begin(), part.o.end()}, static_cast<float>(part.lse)});
    chain = detail::stored_merge(chain, detail::stored(part));
    begin = end;
  }
  expected.compare_with(chain);
  EXPECT_TRUE(judge(expected, fast.o, &fast.lse, seed)) << ends.size() << " parts";
}

}  // namespace saccade::testing
