#include "saccade/see/block_sums.h"

#include "tests/laws/see_laws.h"

namespace saccade::testing {
namespace {

/// `fold(block, weight)` over the pairs of each block of a text that may end before the keys do.
template <class T>
Groups<T> by_blocks(const DenseMap<T>& map, Pos n, Pos text_len, const auto& fold) {
  Groups<T> groups;
  for (Pos head = 0; head < map.n_heads; ++head) {
    Group<T> group{"head " + std::to_string(head), std::vector<T>(static_cast<std::size_t>(n * n), T{0})};
    for (Pos i = 0; i < map.q_len; ++i) {
      for (Pos j = 0; j < map.kv_len; ++j) {
        if (map.q_pos(i) >= text_len || j >= text_len) continue;
        const Pos at = map.q_pos(i) * n / text_len * n + j * n / text_len;
        fold(group.values[static_cast<std::size_t>(at)], map.at(head, i, j));
      }
    }
    for (const T value : group.values) group.size = std::max(group.size, static_cast<double>(value));
    groups.push_back(std::move(group));
  }
  return groups;
}

void check_blocks(Pos n, Pos text_len) {
  const auto make = [=] {
    see::BlockSums probe;
    probe.n = n, probe.text_len = text_len;
    return probe;
  };
  const auto read = [](auto of_head) {
    return [of_head](const see::BlockSums& probe, const Problem& problem) {
      Groups<float> groups;
      for (int head = 0; head < problem.c.n_heads; ++head) {
        const std::span<const float> values = of_head(probe, head);
        groups.push_back({"head " + std::to_string(head), {values.begin(), values.end()}});
      }
      return groups;
    };
  };
  check_see_law(
      make,
      [=]<class T>(const DenseMap<T>& map) {
        return by_blocks(map, n, text_len, [](T& block, T weight) { block += weight; });
      },
      read([](const see::BlockSums& probe, int head) { return probe.sums(head); }));
  check_see_law(
      make,
      [=]<class T>(const DenseMap<T>& map) {
        return by_blocks(map, n, text_len, [](T& block, T weight) { block = std::max(block, weight); });
      },
      read([](const see::BlockSums& probe, int head) { return probe.largest(head); }));
}

TEST(BlockSums, of_wide_blocks_equal_the_dense_statistic) { check_blocks(3, 331); }
TEST(BlockSums, of_narrow_blocks_equal_the_dense_statistic) { check_blocks(128, 260); }
TEST(BlockSums, of_more_blocks_than_tokens_equal_the_dense_statistic) { check_blocks(200, 129); }

TEST(BlockSums, positions_of_blocks_cover_the_text_once) {
  for (const Pos text_len : {Pos{1}, Pos{7}, Pos{100}, Pos{1000}}) {
    see::BlockSums probe;
    probe.n = 16, probe.text_len = text_len;
    Pos next = 0;
    for (Pos i = 0; i < probe.n; ++i) {
      EXPECT_EQ(probe.positions(i).begin, next);
      next = probe.positions(i).end;
    }
    EXPECT_EQ(next, text_len);
  }
}

TEST(BlockSums, keep_only_the_heads_that_are_asked_for) {
  see::BlockSums probe;
  probe.n = 2, probe.text_len = 8, probe.heads = {1};
  Probe* const probes[] = {&probe};
  look_at(Problem({.q_len = 8, .kv_len = 8, .scale = 0.0F}), team_of(2), 8, probes);
  EXPECT_TRUE(probe.sums(0).empty());
  ASSERT_EQ(probe.sums(1).size(), 4U);
  // The four queries of the first block have 1, 1/2, 1/3, 1/4 a key and sums of 1; those beyond the diagonal nothing.
  EXPECT_FLOAT_EQ(static_cast<float>(probe.mean(1, 0, 0)), 4.0F / 16);
  EXPECT_EQ(probe.mean(1, 0, 1), 0.0);
  EXPECT_FLOAT_EQ(static_cast<float>(probe.mean(1, 1, 0)), (4.0F / 5 + 4.0F / 6 + 4.0F / 7 + 4.0F / 8) / 16);
}

}  // namespace
}  // namespace saccade::testing
