#include "saccade/see/entropy.h"

#include "tests/laws/see_statistics.h"

namespace saccade::testing {
namespace {

TEST(Entropy, equals_the_dense_statistic) {
  check_see_law([] { return see::Entropy(); }, dense_entropy(),
                [](const see::Entropy& probe, const Problem&) { return groups_of(probe.values()); });
}

TEST(Entropy, of_even_weights_is_the_logarithm_of_their_number) {
  AttendCase c{.q_len = 40, .kv_len = 40, .scale = 0.0F};
  see::Entropy entropy;
  Probe* const probes[] = {&entropy};
  look_at(Problem(c), team_of(2), 40, probes);
  for (Pos q = 0; q < 40; ++q) EXPECT_FLOAT_EQ(*entropy.values().row(1, q), std::log(static_cast<float>(q + 1)));
}

}  // namespace
}  // namespace saccade::testing
