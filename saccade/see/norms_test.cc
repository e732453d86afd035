#include "saccade/see/norms.h"

#include "tests/laws/see_statistics.h"

namespace saccade::testing {
namespace {

/// The outputs of a plain loop in the precision, in T.
template <class T>
std::vector<T> plain_o(const MappedProblem& mapped, Pos i, Pos head, Precision precision) {
  const Problem& problem = mapped.problem;
  const auto visible = [&](Pos of, Pos q_pos, Pos k_pos) { return problem.where(of).admits(q_pos, k_pos); };
  if (std::is_same_v<T, float> && precision != Precision::kF32) {
    const std::vector<double> o =
        rounded_row(problem.in, i, head, visible, problem.c.softcap, precision, mapped.maps.centres()).o;
    return {o.begin(), o.end()};
  }
  const auto sees = [&](Pos q_pos, Pos k_pos) { return visible(head, q_pos, k_pos); };
  const auto shape = [&](T score) { return weigh::Softcap{problem.c.softcap}.shape(score); };
  return oracle::attend_row<T>(problem.in, i, head, sees, shape).o;
}

TEST(Norms, equal_those_of_the_dense_outputs) {
  for (const auto& mapped : see_problems()) {
    for (const Precision precision : {Precision::kF32, Precision::kI16, Precision::kBf16}) {
      AttendCase c = mapped->problem.c;
      if (precision != Precision::kF32 && !runs_rounded(c, precision)) continue;
      c.precision = precision;
      const Problem problem(c);
      see::Norms probe;
      RowProbe* const probes[] = {&probe};
      attend_with(problem, team_of(c.team), precision == Precision::kF32 ? 37 : c.q_len, probes);
      const auto define = [&]<class T>(const DenseMap<T>&) {
        return dense_norms<T>(problem.in, [&](Pos i, Pos head) { return plain_o<T>(*mapped, i, head, precision); });
      };
      ASSERT_TRUE(judge_statistic(
          groups_of(probe.values()), mapped->maps.exact, [](Pos) { return DenseMap<float>(); }, define,
          eps_of(precision)))
          << c;
    }
  }
}

}  // namespace
}  // namespace saccade::testing
