#include "saccade/steer/uniform.h"

#include <gtest/gtest.h>

#include <cmath>

#include "saccade/attend/look.h"
#include "saccade/see/rows.h"
#include "tests/laws/steer_laws.h"

namespace saccade::steer {
namespace {

TEST(Uniform, KeepsTheLaws) { testing::check_steer_laws<Uniform>({{}}); }

// Four keys; the third query sees three of them: o is their values' mean, lse is ln 3.
TEST(Uniform, WorkedByHand) {
  const testing::Problem problem({.q_len = 4, .kv_len = 4, .n_heads = 1, .sink_scores = true, .gain = 30.0F});
  testing::Output out = problem.output();
  testing::detail::run_edited(problem, {Uniform{}.edit()}, out);
  EXPECT_NEAR(out.lse(2, 0), std::log(3.0), 1e-6);
  for (Pos c = 0; c < 64; ++c) {
    const double mean = (double{problem.in.v_row(0, 0)[c]} + problem.in.v_row(1, 0)[c] + problem.in.v_row(2, 0)[c]) / 3;
    EXPECT_NEAR(out.o(2, 0)[static_cast<std::size_t>(c)], mean, 1e-6) << c;
  }
}

TEST(Uniform, IsWhatProbesSee) {
  const testing::Problem problem(
      {.q_len = 5, .kv_len = 200, .n_heads = 2, .where_name = "window", .where = {make_where(where::Window{50})}});
  testing::Output out = problem.output();
  std::vector<const Where*> borrowed;
  AttendCall call = problem.call(out, borrowed);
  const std::vector<HeadEdit> edits{{}, Uniform{}.edit()};
  call.edits = edits;
  attend(call, testing::team_of(2), testing::used_workspace());
  see::Rows rows;
  rows.queries = {199};
  Probe* const probes[] = {&rows};
  look(call, out.lse(), probes, testing::team_of(2), testing::used_workspace());
  for (Pos key = 0; key < 200; ++key)
    EXPECT_FLOAT_EQ(rows.row(1, 199)[static_cast<std::size_t>(key)], key < 150 ? 0.0F : 1.0F / 50) << key;
  EXPECT_NE(rows.row(0, 199)[199], rows.row(0, 199)[198]);
}

}  // namespace
}  // namespace saccade::steer
