#include "saccade/steer/scale_head.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/laws/steer_laws.h"

namespace saccade::steer {
namespace {

TEST(ScaleHead, KeepsTheLaws) { testing::check_steer_laws<ScaleHead>({{.gain = 0.0}, {.gain = 1.0}, {.gain = -1.5}}); }

TEST(ScaleHead, SilencesWhatIsNoNumber) {
  testing::Problem problem({.q_len = 3, .kv_len = 9});
  problem.in.sink_scores = {std::numeric_limits<float>::quiet_NaN(), 0.0F};
  testing::Output out = problem.output();
  testing::detail::run_edited(problem, {ScaleHead{}.edit(), {}}, out);
  for (Pos i = 0; i < 3; ++i) {
    for (const float o : out.o(i, 0)) EXPECT_EQ(o, 0.0F);
  }
}

TEST(ScaleHead, RefusesWhatIsNoGain) {
  EXPECT_THROW((ScaleHead{.gain = 1e300}.check()), Error);
  EXPECT_THROW((ScaleHead{.gain = std::numeric_limits<double>::quiet_NaN()}.check()), Error);
  EXPECT_NO_THROW((ScaleHead{.gain = -2.0}.check()));
}

}  // namespace
}  // namespace saccade::steer
