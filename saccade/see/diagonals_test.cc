#include "saccade/see/diagonals.h"

#include "tests/laws/see_laws.h"

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
      [&]<class T>(const DenseMap<T>& map) {
        return per_row_groups<T>(map, 1.0, [&](const auto& m, Pos head, Pos i) {
          std::vector<T> weights;
          for (const Pos offset : offsets) {
            const Pos j = m.q_pos(i) - offset;
            weights.push_back(j >= 0 && j < m.kv_len ? m.at(head, i, j) : T{0});
          }
          return weights;
        });
      },
      [](const see::Diagonals& probe, const Problem&) { return groups_of(probe.values()); });
}

}  // namespace
}  // namespace saccade::testing
