#include "saccade/see/distance.h"

#include "tests/laws/see_laws.h"

namespace saccade::testing {
namespace {

/// Means of distances cut at `clip`.
auto mean_distance(Pos clip) {
  return [clip]<class T>(const DenseMap<T>& map) {
    const auto size = static_cast<double>(std::min(clip, map.q_pos(map.q_len)));
    return per_row_groups<T>(map, size, [clip](const auto& m, Pos head, Pos i) {
      T sum = 0;
      for (Pos j = 0; j < m.kv_len; ++j) sum += m.at(head, i, j) * static_cast<T>(std::min(m.q_pos(i) - j, clip));
      return std::vector<T>{sum};
    });
  };
}

TEST(Distance, equals_the_dense_statistic) {
  check_see_law([] { return see::Distance(); }, mean_distance(1 << 30),
                [](const see::Distance& probe, const Problem&) { return groups_of(probe.mean()); });
}

TEST(Distance, clipped_equals_the_dense_statistic) {
  for (const Pos clip : {Pos{1}, Pos{10}, Pos{100}}) {
    check_see_law(
        [clip] {
          see::Distance probe;
          probe.clip = clip;
          return probe;
        },
        mean_distance(clip), [](const see::Distance& probe, const Problem&) { return groups_of(probe.clipped()); });
  }
}

}  // namespace
}  // namespace saccade::testing
