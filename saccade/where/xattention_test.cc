#include "saccade/where/xattention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "saccade/kernel/fixed.h"
#include "saccade/oracle/fixed.h"
#include "saccade/where/parts/lists.h"
#include "tests/laws/selector_laws.h"
#include "tests/support/error_line.h"

namespace saccade {
namespace {

using testing::SelectProblem;
using where::Xattention;
using List = std::vector<std::int32_t>;

List list_of(const WherePtr& where, Pos q_block) {
  const auto list = dynamic_cast<const BlockLists&>(*where).list(q_block);
  return {list.begin(), list.end()};
}

TEST(Xattention, ObeysTheLawsOfSelectors) {
  testing::check_selector_laws<Xattention>({{.tau = 0.5}, {.tau = 0.8, .stride = 8}, {.tau = 0.3, .stride = 128}},
                                           {.tau = 1.0}, {{.tau = 0.5}, {.tau = 0.8, .stride = 8}});
}

/// Strides of queries, last position first, or of keys, first position first, as long rows in fp64, zeros outside.
std::vector<float> long_row(const testing::Tensor& tensor, Pos head, Pos stride, Pos number, Pos first_pos,
                            bool reversed) {
  std::vector<float> row;
  for (Pos s = 0; s < stride; ++s) {
    const Pos at = number * stride + (reversed ? stride - 1 - s : s) - first_pos;
    const bool there = at >= 0 && at < tensor.view().len;
    const std::vector<float> some =
        there ? tensor.get(at, head) : std::vector<float>(static_cast<std::size_t>(tensor.view().dim), 0.0F);
    row.insert(row.end(), some.begin(), some.end());
  }
  return row;
}

/// The share of block u's weight that lies in each block of keys, by the card's definition in fp64: each stride of
/// queries is a row of sums along antidiagonals. `round` is what happens to strides before.
template <class Round>
std::vector<double> shares(const SelectProblem& problem, Pos head, Pos u, Pos stride, const Round& round) {
  const Pos q_begin = problem.c.q_begin, q_end = problem.c.kv_len(), dim = problem.c.head_dim;
  const auto kv = problem.kv_head[static_cast<std::size_t>(head)];
  const Pos end = (u + 1) * 128 / stride;
  std::vector<std::vector<double>> keys;
  for (Pos b = 0; b < end; ++b) keys.push_back(round(long_row(problem.k, kv, stride, b, 0, false)));
  std::vector<double> blocks(static_cast<std::size_t>(u + 1), 0.0);
  double total = 0;
  for (Pos a = u * 128 / stride; a < end; ++a) {
    if ((a + 1) * stride <= q_begin || a * stride >= q_end) continue;
    const std::vector<double> q = round(long_row(problem.q, head, stride, a, q_begin, true));
    std::vector<double> row;
    for (Pos b = 0; b <= a; ++b) {
      const double sum = std::inner_product(q.begin(), q.end(), keys[static_cast<std::size_t>(b)].begin(), 0.0);
      row.push_back(std::exp(sum / (std::sqrt(static_cast<double>(dim)) * static_cast<double>(stride))));
    }
    double all = 0;
    for (const double x : row) all += x;
    for (std::size_t b = 0; b < row.size(); ++b) blocks[b * static_cast<std::size_t>(stride) / 128] += row[b] / all;
    ++total;
  }
  for (double& x : blocks) x /= total;
  return blocks;
}

/// Shares as they are, and how far they may be off, by the one rule of tolerances: twice what rounding strides to 16
/// bits alone does, and 4 eps. `one`: of any block; `all`: of any sum of them.
struct Shares {
  Shares(const SelectProblem& problem, Pos head, Pos u, Pos stride)
      : exact(shares(problem, head, u, stride,
                     [](const std::vector<float>& row) { return std::vector<double>(row.begin(), row.end()); })) {
    const std::vector<double> plain = shares(problem, head, u, stride, [](const std::vector<float>& row) {
      return oracle::detail::rounded_row(row.data(), static_cast<Pos>(row.size()), kernel::kRowNorm);
    });
    for (std::size_t t = 0; t < exact.size(); ++t) {
      one = std::max(one, 2 * std::fabs(plain[t] - exact[t]));
      all += 2 * std::fabs(plain[t] - exact[t]);
    }
    constexpr double kEps = std::numeric_limits<float>::epsilon();
    one += 4 * kEps, all += 4 * kEps * static_cast<double>(exact.size());
  }
  std::vector<double> exact;
  double one = 0, all = 0;
};

/// Kept: what covers tau, and not without the least of it; and none that is left out is larger.
void expect_fewest(const List& list, const Shares& shares, double tau) {
  double covered = 0, least = 1;
  const auto u = static_cast<std::int32_t>(shares.exact.size()) - 1;
  for (const std::int32_t t : list) {
    covered += shares.exact[static_cast<std::size_t>(t)];
    if (t != 0 && t != u) least = std::min(least, shares.exact[static_cast<std::size_t>(t)]);
  }
  EXPECT_GE(covered, tau - shares.all);
  if (list.size() > 2) EXPECT_LT(covered - least, tau + shares.all);
  for (std::int32_t t = 0; t < u; ++t) {
    if (std::ranges::binary_search(list, t)) continue;
    EXPECT_LE(shares.exact[static_cast<std::size_t>(t)], least + 2 * shares.one);
  }
}

/// Stride 1: the true share of the weight; else the estimate.
TEST(Xattention, KeepsTheFewestBlocksThatCoverTau) {
  for (const Pos stride : {1, 8, 16}) {
    const SelectProblem problem(
        {.q_begin = 700, .q_len = 500, .n_heads = 2, .gain = 3.0F * static_cast<float>(stride)});
    std::vector<Shares> expected;
    for (Pos head = 0; head < 2; ++head) {
      for (Pos u = 5; u < 10; ++u) expected.emplace_back(problem, head, u, stride);
    }
    testing::on_every_cpu([&] {
      Alone alone;
      const Selection chosen = choose(*make_choice(Xattention{.tau = 0.8, .stride = stride}), problem.call(alone));
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const Pos u = 5 + static_cast<Pos>(i % 5);
        SCOPED_TRACE("stride " + std::to_string(stride) + ", block " + std::to_string(u));
        const List list = list_of(chosen.of_head[i / 5], u);
        ASSERT_EQ(list.front(), 0);
        ASSERT_EQ(list.back(), u);
        expect_fewest(list, expected[i], 0.8);
      }
    });
  }
}

TEST(Xattention, WorkedByHand) {
  // Stride 64, so each block is two strides. The queries of block 3 look along one axis in positions 384 to 447, and
  // keys 128 to 191 lie that way: score 64 x 32 x 1 / (sqrt 32 x 64) = sqrt 32 for stride 2 of the keys in the first
  // row (7 strides), 0 elsewhere; the second row (8 strides) is 0 everywhere. Block 1 has e^5.657 / (e^5.657 + 6) + 2/8
  // = 0.980 + 0.25 of 2, the other blocks 2 x 0.0034 + 0.25 at most. Blocks 0 and 3 are forced: 0.257 + 0.253. For
  // tau 0.8 block 1 is needed (1.740 of 2), and enough; for 0.9 block 2 as well.
  SelectProblem problem({.q_begin = 384, .q_len = 128, .n_heads = 1});
  const std::vector<float> zero(32, 0.0F), one(32, 1.0F);
  for (Pos i = 0; i < 128; ++i) problem.q.set(i, 0, i < 64 ? one : zero);
  for (Pos j = 0; j < 512; ++j) problem.k.set(j, 0, j / 64 == 2 ? one : zero);
  Alone alone;
  const auto choose_with = [&](double tau) {
    const Xattention xattention{.tau = tau, .stride = 64};
    return list_of(choose(*make_choice(xattention), problem.call(alone)).of_head[0], 3);
  };
  EXPECT_EQ(choose_with(0.2), (List{0, 3}));
  EXPECT_EQ(choose_with(0.8), (List{0, 1, 3}));
  EXPECT_EQ(choose_with(0.9), (List{0, 1, 2, 3}));
}

TEST(Xattention, BatchesOfWholeBlocksChooseWhatOneBatchDoes) {
  const SelectProblem problem({.q_begin = 128, .q_len = 700, .n_heads = 4, .n_kv_heads = 2, .gain = 40.0F});
  Alone alone;
  const SelectCall call = problem.call(alone);
  const ChoicePtr choice = make_choice(Xattention{.tau = 0.7});
  const Selection one = choose(*choice, call);
  for (const Range some : {Range{128, 256}, Range{256, 640}, Range{640, 828}}) {
    const SelectCall part = SelectProblem::part(call, some);
    EXPECT_TRUE(testing::detail::same(choose(*choice, part), one, part)) << some.begin;
  }
  EXPECT_TRUE(choice->traits().depends_on_batch);
}

TEST(Xattention, APartOfABlockChoosesByItself) {
  // The first half of block 3 looks at block 1, the second at block 2: together they need both.
  SelectProblem problem({.q_begin = 384, .q_len = 128, .n_heads = 1});
  const auto axis = [](std::size_t at) {
    std::vector<float> row(32, 0.0F);
    row[at] = 20.0F;
    return row;
  };
  for (Pos i = 0; i < 128; ++i) problem.q.set(i, 0, axis(i < 64 ? 1 : 2));
  for (Pos j = 0; j < 512; ++j) problem.k.set(j, 0, axis(j / 128 == 1 ? 1 : j / 128 == 2 ? 2 : 9));
  Alone alone;
  const SelectCall call = problem.call(alone);
  const ChoicePtr choice = make_choice(Xattention{});
  const auto list = [&](const SelectCall& some) { return list_of(choose(*choice, some).of_head[0], 3); };
  EXPECT_EQ(list(call), (List{0, 1, 2, 3}));
  EXPECT_EQ(list(SelectProblem::part(call, {384, 448})), (List{0, 1, 3}));
  EXPECT_EQ(list(SelectProblem::part(call, {448, 512})), (List{0, 2, 3}));
}

TEST(Xattention, RejectsParametersThatMakeNoSense) {
  const auto line = [](const Xattention& m) { return testing::error_line([&] { make_choice(m); }); };
  EXPECT_EQ(line({.tau = 0.0}), "where/xattention: tau must be > 0 and <= 1, got 0.000000");
  EXPECT_EQ(line({.tau = 1.1}), "where/xattention: tau must be > 0 and <= 1, got 1.100000");
  EXPECT_EQ(line({.stride = 0}), "where/xattention: stride must be >= 1 and divide 128, got 0");
  EXPECT_EQ(line({.stride = 12}), "where/xattention: stride must be >= 1 and divide 128, got 12");
}

}  // namespace
}  // namespace saccade
