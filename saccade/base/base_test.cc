#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "saccade/base/error.h"
#include "saccade/base/team.h"
#include "saccade/base/view.h"

namespace saccade {
namespace {

TEST(View, BytesOfARow) {
  EXPECT_EQ(row_bytes(DType::f32, 40), 160U);
  EXPECT_EQ(row_bytes(DType::f16, 40), 80U);
  EXPECT_EQ(row_bytes(DType::bf16, 40), 80U);
  EXPECT_EQ(row_bytes(DType::q8_0, 64), 68U);
  EXPECT_EQ(row_bytes(DType::q4_0, 64), 36U);
  EXPECT_EQ(block_len(DType::q4_0), 32);
  EXPECT_EQ(block_len(DType::bf16), 1);
  EXPECT_EQ(name_of(DType::q8_0), "q8_0");
  EXPECT_EQ(name_of(DType::q4_0), "q4_0");
  EXPECT_EQ(name_of(DType::bf16), "bf16");
}

TEST(View, RowsByStride) {
  float data[24] = {};
  const View view{data, DType::f32, 3, 2, 4, 32, 16};
  EXPECT_EQ(view.row(2, 1), reinterpret_cast<const std::byte*>(data + 20));
  const MutableView out{data, 3, 2, 4, 16, 48};
  EXPECT_EQ(out.row(2, 1), data + 20);
}

TEST(Range, CountsWhatIsInIt) {
  EXPECT_EQ((Range{3, 7}.size()), 4);
  EXPECT_EQ((Range{7, 3}.size()), 0);
  EXPECT_TRUE((Range{3, 3}.empty()));
}

TEST(Error, CarriesItsExitCode) {
  try {
    fail_user("where/window: n must be >= 1, got 0");
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 2);
    EXPECT_STREQ(error.what(), "where/window: n must be >= 1, got 0");
  }
  try {
    fail_machine("no memory");
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 3);
  }
}

TEST(Team, EveryWorkerRunsOnceEveryTime) {
  for (const int size : {1, 2, 3, 7}) {
    const auto team = make_thread_team(size);
    EXPECT_EQ(team->size(), size);
    std::vector<int> runs(static_cast<std::size_t>(size));
    for (int round = 1; round <= 500; ++round) {
      team->run([&](int worker) { ++runs[static_cast<std::size_t>(worker)]; });
      for (const int n : runs) ASSERT_EQ(n, round) << "of " << size << " workers";
    }
  }
}

TEST(Team, ParallelForVisitsEveryItemOnce) {
  for (const int size : {1, 2, 7}) {
    const auto team = make_thread_team(size);
    for (const Pos n_items : {0, 1, 2, 1000}) {
      std::vector<std::atomic<int>> visits(static_cast<std::size_t>(n_items));
      const auto visit = [&](Pos item, int worker) {
        EXPECT_LT(worker, size);
        ++visits[static_cast<std::size_t>(item)];
      };
      parallel_for(*team, n_items, visit);
      for (const auto& n : visits) EXPECT_EQ(n, 1);
      parallel_for_runs(*team, n_items, visit);
      for (const auto& n : visits) EXPECT_EQ(n, 2);
    }
  }
}

TEST(Team, StartsAndStopsWithoutWork) {
  for (int n = 0; n < 20; ++n) make_thread_team(3);
}

TEST(Team, RefusesNoThreads) {
  for (const int size : {0, -5}) {
    try {
      make_thread_team(size);
      FAIL() << "a team of " << size;
    } catch (const Error& error) {
      EXPECT_EQ(error.fault(), Fault::kUser);
    }
  }
}

}  // namespace
}  // namespace saccade
