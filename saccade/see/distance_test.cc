#include "saccade/see/distance.h"

#include "tests/laws/see_statistics.h"

namespace saccade::testing {
namespace {

TEST(Distance, equals_the_dense_statistic) {
  check_see_law([] { return see::Distance(); }, dense_distance(1 << 30),
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
        dense_distance(clip), [](const see::Distance& probe, const Problem&) { return groups_of(probe.clipped()); });
  }
}

}  // namespace
}  // namespace saccade::testing
