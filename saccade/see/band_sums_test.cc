#include "saccade/see/band_sums.h"

#include "tests/laws/see_statistics.h"

namespace saccade::testing {
namespace {

void check_band(Range band) {
  check_see_law(
      [band] {
        see::BandSums probe;
        probe.begin_distance = band.begin, probe.end_distance = band.end;
        return probe;
      },
      dense_band(band), [](const see::BandSums& probe, const Problem&) { return groups_of(probe.sums()); });
}

TEST(BandSums, equal_the_dense_statistic) {
  for (const Range band : {Range{10, 51}, Range{0, 1}, Range{1, 300}, Range{130, 131}}) check_band(band);
}

TEST(BandSums, refuse_a_band_of_nothing) {
  see::BandSums probe;
  probe.end_distance = probe.begin_distance;
  EXPECT_EQ(error_line([&] { probe.check(); }), "see/band_sums: distances must be 0 <= begin < end, got 10 and 10");
}

}  // namespace
}  // namespace saccade::testing
