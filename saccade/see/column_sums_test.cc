#include "saccade/see/column_sums.h"

#include "tests/laws/see_statistics.h"

namespace saccade::testing {
namespace {

TEST(ColumnSums, equal_the_dense_statistic) {
  check_see_law([] { return see::ColumnSums(); }, dense_columns(),
                [](const see::ColumnSums& probe, const Problem&) { return groups_of(probe.sums()); });
}

TEST(ColumnSums, squares_equal_the_dense_statistic) {
  check_see_law([] { return see::ColumnSums(); }, dense_squares(),
                [](const see::ColumnSums& probe, const Problem&) { return groups_of(probe.sums_of_squares()); });
}

}  // namespace
}  // namespace saccade::testing
