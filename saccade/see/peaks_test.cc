#include "saccade/see/peaks.h"

#include "tests/laws/see_statistics.h"

namespace saccade::testing {
namespace {

TEST(Peaks, say_what_the_largest_weight_is) {
  check_see_law([] { return see::Peaks(); }, dense_largest(),
                [](const see::Peaks& probe, const Problem&) { return largest_of(probe); });
}

TEST(Peaks, keep_the_lse_that_attention_saves) {
  for (const auto& mapped : see_problems()) {
    const Problem& problem = mapped->problem;
    see::Peaks probe;
    RowProbe* const probes[] = {&probe};
    Output out = problem.output();
    std::vector<const Where*> where;
    AttendCall call = problem.call(out, where);
    call.probes = probes;
    attend(call, team_of(problem.c.team), used_workspace());
    for (Pos i = 0; i < problem.c.q_len; ++i) {
      for (int head = 0; head < problem.c.n_heads; ++head) {
        ASSERT_EQ(*probe.lse().row(head, call.q_begin + i), out.lse(i, head)) << problem.c;
      }
    }
  }
}

}  // namespace
}  // namespace saccade::testing
