#include "saccade/see/diagonals.h"

#include "tests/laws/see_statistics.h"

namespace saccade::testing {
namespace {

TEST(Diagonals, equal_the_dense_statistic) {
  const std::vector<Pos> offsets{0, 1, 64, 129, 4000};
  check_see_law(
      [&] {
        see::Diagonals probe;
        probe.offsets = offsets;
        return probe;
      },
      dense_diagonals(offsets), [](const see::Diagonals& probe, const Problem&) { return groups_of(probe.values()); });
}

}  // namespace
}  // namespace saccade::testing
