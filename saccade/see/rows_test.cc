#include "saccade/see/rows.h"

#include "tests/laws/see_laws.h"

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
      []<class T>(const DenseMap<T>& map) {
        return per_row_groups<T>(map, 1.0, [](const auto& m, Pos head, Pos i) {
          std::vector<T> row;
          for (Pos j = 0; j < m.kv_len && m.q_pos(i) % 3 == 0; ++j) row.push_back(m.at(head, i, j));
          return row;
        });
      },
      [](const see::Rows& probe, const Problem& problem) {
        Groups<float> groups;
        for (int head = 0; head < problem.c.n_heads; ++head) {
          Group<float> group{"head " + std::to_string(head), {}};
          for (Pos i = 0; i < problem.c.q_len; ++i) {
            const auto row = probe.row(head, problem.in.q_begin + i);
            group.values.insert(group.values.end(), row.begin(), row.end());
          }
          groups.push_back(std::move(group));
        }
        return groups;
      });
}

}  // namespace
}  // namespace saccade::testing
