#include "saccade/see/rows.h"

#include "tests/laws/see_statistics.h"

namespace saccade::testing {
namespace {

/// Every third query of a text, and positions that never come.
std::vector<Pos> listed() {
  std::vector<Pos> queries{100'000, -1};
  for (Pos q = 0; q < 2000; q += 3) queries.push_back(q);
  return queries;
}

TEST(Rows, equal_the_dense_rows) {
  check_see_law(
      [] {
        see::Rows probe;
        probe.queries = listed();
        return probe;
      },
      dense_rows(), [](const see::Rows& probe, const Problem& problem) { return rows_by_head(probe, problem.in); });
}

}  // namespace
}  // namespace saccade::testing
