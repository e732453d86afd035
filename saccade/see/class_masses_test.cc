#include "saccade/see/class_masses.h"

#include "tests/laws/see_statistics.h"

namespace saccade::testing {
namespace {

TEST(ClassMasses, equal_the_dense_statistic) {
  const std::vector<see::ClassMasses::Span> spans{
      {"first", {0, 1}}, {"all", {0, 5000}}, {"across a block", {100, 140}}, {"nothing", {7, 7}}, {"a few", {3, 20}}};
  check_see_law(
      [&] {
        see::ClassMasses probe;
        probe.spans = spans;
        return probe;
      },
      dense_masses(spans), [](const see::ClassMasses& probe, const Problem&) { return groups_of(probe.values()); });
}

}  // namespace
}  // namespace saccade::testing
