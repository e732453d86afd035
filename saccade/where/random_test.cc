#include "saccade/where/random.h"

#include "tests/laws/selector_laws.h"

namespace saccade {
namespace {

TEST(Random, ObeysTheLawsOfSelectors) {
  testing::check_selector_laws<where::Random>({{.density = 0.1}, {.density = 0.6, .seed = 3}}, {.density = 1.0});
}

}  // namespace
}  // namespace saccade
