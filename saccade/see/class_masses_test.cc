#include "saccade/see/class_masses.h"

#include "tests/laws/see_laws.h"

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
      [&]<class T>(const DenseMap<T>& map) {
        return per_row_groups<T>(map, 1.0, [&](const auto& m, Pos head, Pos i) {
          std::vector<T> masses;
          for (const auto& span : spans) {
            T sum = 0;
            for (Pos j = span.keys.begin; j < std::min(span.keys.end, m.kv_len); ++j) sum += m.at(head, i, j);
            masses.push_back(sum);
          }
          return masses;
        });
      },
      [](const see::ClassMasses& probe, const Problem&) { return groups_of(probe.values()); });
}

}  // namespace
}  // namespace saccade::testing
