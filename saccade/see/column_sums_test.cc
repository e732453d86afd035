#include "saccade/see/column_sums.h"

#include "tests/laws/see_laws.h"

namespace saccade::testing {
namespace {

TEST(ColumnSums, equal_the_dense_statistic) {
  check_see_law([] { return see::ColumnSums(); },
                []<class T>(const DenseMap<T>& map) {
                  return per_key_groups<T>(map, [](const auto& m, Pos head, Pos i, Pos j) { return m.at(head, i, j); });
                },
                [](const see::ColumnSums& probe, const Problem&) { return groups_of(probe.sums()); });
}

TEST(ColumnSums, squares_equal_the_dense_statistic) {
  check_see_law([] { return see::ColumnSums(); },
                []<class T>(const DenseMap<T>& map) {
                  return per_key_groups<T>(
                      map, [](const auto& m, Pos head, Pos i, Pos j) { return m.at(head, i, j) * m.at(head, i, j); });
                },
                [](const see::ColumnSums& probe, const Problem&) { return groups_of(probe.sums_of_squares()); });
}

}  // namespace
}  // namespace saccade::testing
