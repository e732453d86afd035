#include <gtest/gtest.h>

#include "saccade/weigh/softcap.h"
#include "saccade/weigh/softmax.h"
#include "tests/laws/weigh_laws.h"

namespace saccade::weigh {
namespace {

TEST(Softcap, KeepsTheLaws) {
  testing::check_weigh_laws<Softcap>({{.c = 0.0F}, {.c = 5.0F}, {.c = 50.0F}, {.c = 1e6F}});
}

TEST(Softcap, WorkedByHand) {
  const Softcap cap{.c = 50.0F};
  EXPECT_EQ(cap.shape(0.0), 0.0);
  EXPECT_NEAR(cap.shape(50.0), 38.0797077977882, 1e-12);  // 50 tanh 1
  EXPECT_EQ(cap.shape(1e4), 50.0);
  EXPECT_EQ(cap.shape(-1e4), -50.0);
  EXPECT_EQ(Softcap{.c = 0.0F}.shape(1e4), 1e4);
}

TEST(Softcap, RefusesWhatIsNoCap) {
  EXPECT_THROW(Softcap{.c = -1.0F}.check(), Error);
  EXPECT_THROW(Softcap{.c = std::numeric_limits<float>::quiet_NaN()}.check(), Error);
  EXPECT_THROW(Softcap{.c = std::numeric_limits<float>::infinity()}.check(), Error);
  EXPECT_NO_THROW(Softcap{.c = 0.0F}.check());
}

// Scores 0, ln 2, ln 3: weights 1/6, 2/6, 3/6.
TEST(Softmax, WorkedByHand) {
  const double scores[] = {0.0, std::log(2.0), std::log(3.0)};
  Softmax::Online row;
  row.see(scores);
  EXPECT_NEAR(row.lse(), std::log(6.0), 1e-15);
  EXPECT_NEAR(Softmax::weight(scores[2], row.lse()), 0.5, 1e-15);
}

TEST(Softmax, NaNIsNotLost) {
  const double scores[] = {1.0, std::numeric_limits<double>::quiet_NaN(), 2.0};
  Softmax::Online row;
  row.see(scores);
  EXPECT_TRUE(std::isnan(row.lse()));
}

}  // namespace
}  // namespace saccade::weigh
