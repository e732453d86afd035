#include "saccade/attend/centre.h"

#include <gtest/gtest.h>

#include <limits>

#include "saccade/where/window.h"
#include "tests/support/attend_case.h"

namespace saccade {
namespace {

using testing::AttendCase;
using testing::Problem;

/// Keys of one number each, the number their position tells.
template <class Value>
std::vector<float> centre_of(AttendCase c, const Value& value) {
  c.precision = Precision::kBf16;
  c.head_dim = 32;
  Problem problem(c);
  for (Pos j = 0; j < c.kv_len; ++j) problem.k.set(j, 0, std::vector<float>(32, value(j)));
  return problem.centres();
}

TEST(Centre, IsTheMedianOfEvenlySpacedKeys) {
  AttendCase c{.q_len = 20, .kv_len = 3200};
  const std::vector<float> centre = centre_of(c, [](Pos j) { return static_cast<float>(j); });
  EXPECT_EQ(centre, std::vector<float>(32, 1600.0F));  // the 17th of 0, 100, 200, ...
}

TEST(Centre, FewWildKeysDoNotMoveIt) {
  AttendCase c{.q_len = 20, .kv_len = 320};
  const std::vector<float> centre = centre_of(c, [](Pos j) {
    if (j % 50 == 0) return std::numeric_limits<float>::quiet_NaN();
    return j % 30 == 0 ? 1e30F : 5.0F;
  });
  EXPECT_EQ(centre, std::vector<float>(32, 5.0F));
}

TEST(Centre, LooksOnlyAtKeysThatTheLastQuerySees) {
  AttendCase c{.q_len = 20, .kv_len = 1000};
  const auto garbage_behind = [](Pos j) { return j >= 300 ? 1e30F : 7.0F; };
  c.q_begin = 280;  // the last query is at 299
  EXPECT_EQ(centre_of(c, garbage_behind), std::vector<float>(32, 7.0F));
  c.q_begin = 980;
  c.where = {make_where(where::Window{40})};
  EXPECT_EQ(centre_of(c, [](Pos j) { return j < 960 ? 1e30F : 7.0F; }), std::vector<float>(32, 7.0F));
}

TEST(Centre, IsNothingWhereNothingIsSeen) {
  AttendCase c{.q_len = 20, .kv_len = 0};
  EXPECT_EQ(centre_of(c, [](Pos) { return 1.0F; }), std::vector<float>(32, 0.0F));
  c.kv_len = 100;
  EXPECT_EQ(centre_of(c, [](Pos) { return std::numeric_limits<float>::infinity(); }), std::vector<float>(32, 0.0F));
}

TEST(Centre, IsNotWantedWhereItDoesNotHelpOrHold) {
  AttendCase c{.q_len = 20, .kv_len = 100};
  c.softcap = 5.0F;
  EXPECT_TRUE(centre_of(c, [](Pos) { return 1.0F; }).empty());
  c.softcap = 0.0F, c.q_len = 1;
  EXPECT_TRUE(centre_of(c, [](Pos) { return 1.0F; }).empty());
}

}  // namespace
}  // namespace saccade
