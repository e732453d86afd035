#include "saccade/see/norms.h"

#include "tests/laws/see_laws.h"

namespace saccade::testing {
namespace {

/// Norms of each head's outputs by the definition of attention.
template <class T>
Groups<T> norms_of(const Problem& problem, Pos order) {
  const oracle::Inputs& in = problem.in;
  const auto shape = [&](T score) { return weigh::Softcap{problem.c.softcap}.shape(score); };
  Groups<T> groups;
  for (Pos head = 0; head < in.n_heads; ++head) {
    const auto visible = [&](Pos q_pos, Pos k_pos) { return problem.where(head).admits(q_pos, k_pos); };
    Group<T> group{"head " + std::to_string(head), {}, 0.0};
    for (Pos i = 0; i < in.q_len; ++i) {
      T squares = 0;
      for (const T o : oracle::attend_row<T>(in, i, head, visible, shape, order).o) squares += o * o;
      group.values.push_back(std::sqrt(squares));
    }
    double longest = 0.0;
    for (Pos j = 0; j < in.kv_len; ++j) {
      double squares = 0.0;
      for (Pos n = 0; n < in.v_dim(); ++n) squares += double{in.v_row(j, head)[n]} * double{in.v_row(j, head)[n]};
      longest = std::max(longest, std::sqrt(squares));
    }
    group.size = longest;
    groups.push_back(std::move(group));
  }
  return groups;
}

TEST(Norms, equal_those_of_the_dense_outputs) {
  for (const auto& mapped : see_problems()) {
    const Problem& problem = mapped->problem;
    see::Norms probe;
    RowProbe* const probes[] = {&probe};
    attend_with(problem, team_of(problem.c.team), 37, probes);
    const auto define = [&]<class T>(const DenseMap<T>&) { return norms_of<T>(problem, 0); };
    ASSERT_TRUE(judge_statistic(
        groups_of(probe.values()), mapped->exact, [](Pos) { return DenseMap<float>(); }, define))
        << problem.c;
  }
}

}  // namespace
}  // namespace saccade::testing
