#include "saccade/kernel/notes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "saccade/base/buffer.h"
#include "saccade/kernel/targets.h"
#include "saccade/kernel/visit.h"
#include "tests/support/random.h"

namespace saccade::kernel {
namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();

/// Scores of a block, some of them alike and some hidden, and what each row has found before.
struct Block {
  Block(int n_keys, int n_rows, int step, std::uint64_t seed) : n_keys(n_keys), n_rows(n_rows) {
    lay_out(Layout());
    buffer.reserve(used);
    lay_out(Layout(buffer.data()));
    testing::Random random(seed);
    for (int i = 0; i < kBlockKeys * kTileRows; ++i) {
      const float score = random.normal();
      scores[i] = random.one_in(9) ? kNothing : step == 0 ? score : static_cast<float>(static_cast<int>(score * 4)) / 4;
    }
    for (int row = 0; row < kTileRows; ++row) {
      factor[row] = row % 5 == 0 ? 1.4426950F : 0.5F + static_cast<float>(row);
      floor[row] = random.one_in(2) ? kNothing : factor[row] * random.normal();
    }
  }
  void lay_out(Layout layout) {
    scores = layout.take<float>(kBlockKeys * kTileRows);
    factor = layout.take<float>(kTileRows);
    floor = layout.take<float>(kTileRows);
    used = layout.used();
  }
  NotedScores noted() const { return {.scores = scores, .factor = factor, .n_keys = n_keys, .n_rows = n_rows}; }
  float score(int key, int row) const { return scores[key * kTileRows + row] * factor[row]; }
  /// The n-th largest score of a row; -inf where it has fewer.
  float nth(int row, int n) const {
    std::vector<float> all;
    for (int key = 0; key < n_keys; ++key) all.push_back(score(key, row));
    std::ranges::sort(all, std::greater<>());
    return n <= n_keys ? all[static_cast<std::size_t>(n - 1)] : kNothing;
  }

  int n_keys, n_rows;
  Buffer buffer;
  std::size_t used = 0;
  float *scores = nullptr, *factor = nullptr, *floor = nullptr;
};

void check_list(const Block& block, int n_best) {
  std::vector<ListedScore> places(kBlockKeys * kTileRows + 1);
  const int n = list_best(block.noted(), n_best, block.floor, places.data());
  std::set<std::pair<int, int>> listed;
  for (int i = 0; i < n; ++i) {
    ASSERT_TRUE(
        listed.insert({places[static_cast<std::size_t>(i)].key, places[static_cast<std::size_t>(i)].row}).second);
  }
  int n_found = 0, n_more = 0;
  for (int row = 0; row < block.n_rows; ++row) {
    const bool few = block.floor[row] == kNothing;
    const float least = few ? block.nth(row, n_best) : block.floor[row];
    for (int key = 0; key < block.n_keys; ++key) {
      const float score = block.score(key, row);
      const bool is_listed = listed.contains({key, row}), must = score >= least && score != kNothing;
      if (must) ASSERT_TRUE(is_listed) << "key " << key << " of row " << row;
      if (is_listed && !few) ASSERT_TRUE(must) << "key " << key << " of row " << row;
      if (is_listed) ASSERT_NE(score, kNothing);
      n_found += is_listed ? 1 : 0, n_more += is_listed && !must ? 1 : 0;
    }
  }
  EXPECT_EQ(n_found, n) << "keys or rows that are not there";
  if (block.n_keys == kBlockKeys && n_best <= 8) EXPECT_LT(n_more, block.n_rows * n_best) << "far more than needed";
}

TEST(ListBest, FindsAllThatMayBeAmongTheBest) {
  for (const std::string& target : supported_targets()) {
    force_target(target);
    for (const int n_keys : {1, 7, 8, 9, 63, 100, 128}) {
      for (const int n_rows : {1, 8, 15, 17, 48}) {
        for (const int n_best : {1, 5, 8, 16, 40}) {
          SCOPED_TRACE(target + ", keys " + std::to_string(n_keys) + ", rows " + std::to_string(n_rows) + ", best " +
                       std::to_string(n_best));
          for (const int step : {0, 1})
            check_list(Block(n_keys, n_rows, step, static_cast<std::uint64_t>(n_keys)), n_best);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
  force_target("");
}

}  // namespace
}  // namespace saccade::kernel
