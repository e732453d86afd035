#pragma once

#include <span>
#include <vector>

#include "saccade/where/sink.h"
#include "saccade/where/window.h"
#include "tests/support/attend_case.h"

namespace saccade::testing {

/// A case whose attention has run, and the call that it was.
struct Attended {
  explicit Attended(const AttendCase& c) : problem(c), out(problem.output()) {
    problem.run(out, team_of(2), used_workspace());
    call = problem.call(out, borrowed);
  }
  Attended(const Attended&) = delete;

  Problem problem;
  Output out;
  std::vector<const Where*> borrowed;
  AttendCall call;
};

/// Calls of which single rows are judged: keys of several types, small and large scores, a pattern for each head (a
/// window, a wider one with sinks, and `more`); caps, sink scores and shared heads; many rows, and the fewest.
inline std::vector<AttendCase> judge_cases(std::span<const DType> types, std::span<const WherePtr> more) {
  const WherePtr window = make_where(where::Window{90});
  std::vector<WherePtr> of_heads{window, unite({make_where(where::Window{200}), make_where(where::Sink{4})})};
  of_heads.insert(of_heads.end(), more.begin(), more.end());
  std::vector<AttendCase> cases;
  for (const DType type : types) {
    for (const float gain : {1.0F, 8.0F}) {
      cases.push_back({.seed = cases.size() + 1,
                       .q_len = 37,
                       .kv_len = 1100,
                       .n_heads = static_cast<Pos>(of_heads.size()),
                       .head_dim = 64,
                       .head_dim_v = 96,
                       .k_type = type,
                       .v_type = type,
                       .where_name = "one each",
                       .where = of_heads,
                       .gain = gain});
    }
  }
  cases.push_back({.seed = 11,
                   .q_len = 9,
                   .kv_len = 600,
                   .n_heads = 4,
                   .n_kv_heads = 2,
                   .where = {make_where(where::Window{100})},
                   .kv_head = {1, 0, 0, 1},
                   .sink_scores = true,
                   .softcap = 5.0F,
                   .gain = 4.0F});
  cases.push_back({.seed = 12, .q_len = 300, .kv_len = 300, .n_heads = 1, .where = {make_where(where::Window{7})}});
  cases.push_back({.seed = 13, .q_len = 1, .kv_len = 1, .n_heads = 1});
  return cases;
}

}  // namespace saccade::testing
