#include "saccade/see/peaks.h"

#include "tests/laws/see_laws.h"

namespace saccade::testing {
namespace {

/// exp(largest score - lse) is the row's largest weight.
TEST(Peaks, say_what_the_largest_weight_is) {
  check_see_law([] { return see::Peaks(); },
                []<class T>(const DenseMap<T>& map) {
                  return per_row_groups<T>(map, 1.0, [](const auto& m, Pos head, Pos i) {
                    T largest = 0;
                    for (Pos j = 0; j < m.kv_len; ++j) largest = std::max(largest, m.at(head, i, j));
                    return std::vector<T>{largest};
                  });
                },
                [](const see::Peaks& probe, const Problem&) {
                  Groups<float> groups = groups_of(probe.largest());
                  for (int head = 0; head < probe.lse().n_heads(); ++head) {
                    std::vector<float>& values = groups[static_cast<std::size_t>(head)].values;
                    for (std::size_t i = 0; i < values.size(); ++i) {
                      const double lse = probe.lse().head(head)[i], largest = values[i];
                      values[i] = static_cast<float>(std::isinf(largest) ? 0.0 : std::exp(largest - lse));
                    }
                  }
                  return groups;
                });
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
