#pragma once

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <vector>

#include "saccade/steer/edit.h"
#include "saccade/where/sink.h"
#include "saccade/where/window.h"
#include "tests/support/attend_case.h"

namespace saccade::testing {

namespace detail {

/// Calls in which an edit could go wrong: prompts and decode steps, keys split among workers, heads that share keys,
/// biases, soft caps and sink scores, in every precision.
inline std::vector<AttendCase> steered_cases() {
  const std::vector<WherePtr> windows = {make_where(where::Window{40}), make_where(where::Dense{}),
                                         make_where(where::Sink{3}), make_where(where::Window{7})};
  AttendCase prompt{.seed = 1, .q_len = 150, .kv_len = 333, .n_heads = 4, .n_kv_heads = 2, .most_rows = 32};
  AttendCase decode{.seed = 2, .q_len = 1, .kv_len = 2500, .n_heads = 4, .n_kv_heads = 2, .sink_scores = true};
  AttendCase some = prompt;
  some.seed = 3, some.where = windows, some.where_name = "windows", some.softcap = 5.0F;
  AttendCase biased{.seed = 4,
                    .q_len = 60,
                    .kv_len = 130,
                    .n_heads = 4,
                    .n_kv_heads = 4,
                    .bias_type = DType::f16,
                    .bias_keys = {20, 90},
                    .slopes = true,
                    .sink_scores = true};
  biased.scale = -0.2F;
  std::vector<AttendCase> cases{prompt, decode, some, biased};
  for (const Precision precision : {Precision::kI16, Precision::kBf16}) {
    AttendCase rounded = prompt;
    rounded.seed = 5, rounded.precision = precision, rounded.sink_scores = true;
    cases.push_back(rounded);
  }
  return cases;
}

/// An edit as it is defined, in fp64, on the call's own inputs.
class Steered {
 public:
  Steered(const Problem& problem, HeadEdit edit, Pos head)
      : problem_(problem), edit_(edit), head_(head), in_(problem.in) {
    if (!edit.uniform) return;
    in_.slopes.resize(static_cast<std::size_t>(in_.n_heads), 1.0F);
    in_.slopes[static_cast<std::size_t>(head)] = 0.0F;
    in_.sink_scores.resize(static_cast<std::size_t>(in_.n_heads));
    in_.sink_scores[static_cast<std::size_t>(head)] = -std::numeric_limits<float>::infinity();
    for (Pos i = 0; i < in_.q_len; ++i)
      std::fill_n(in_.q.begin() + (i * in_.n_heads + head) * in_.head_dim, in_.head_dim, 0.0F);
  }

  Expected expect(Pos i) const {
    const auto visible = [this](Pos q_pos, Pos k_pos) { return problem_.where(head_).admits(q_pos, k_pos); };
    const auto shape = [this](auto score) {
      return edit_.uniform ? decltype(score){0} : weigh::Softcap{problem_.c.softcap}.shape(score);
    };
    Expected row = expect_row(in_, i, head_, visible, shape);
    if (problem_.c.precision == Precision::kI16) {
      row.eps = 1.0 / 4096;
      row.compare_with(oracle::attend_row_fixed(in_, i, head_, visible));
    }
    if (problem_.c.precision == Precision::kBf16) {
      row.eps = 1.0 / 256;
      row.compare_with(oracle::attend_row_bf16(in_, i, head_, visible, shape, problem_.centres()));
    }
    // Multiplied, a row's errors and what they are measured by grow alike.
    const double gain = edit_.gain;
    for (double& o : row.exact.o) o *= gain;
    row.size *= std::fabs(gain);
    row.plain_error_o *= std::fabs(gain);
    row.plain = {};
    return row;
  }

 private:
  const Problem& problem_;
  HeadEdit edit_;
  Pos head_;
  oracle::Inputs in_;
};

inline void run_edited(const Problem& problem, const std::vector<HeadEdit>& edits, Output& out) {
  std::vector<const Where*> borrowed;
  AttendCall call = problem.call(out, borrowed);
  call.edits = edits;
  attend(call, team_of(problem.c.team), used_workspace());
}

}  // namespace detail

/// The laws of Steer, for one edit of one head: that head equals the definition, every other head keeps every bit; and
/// nobody's does when the edit is neutral.
inline void check_edit(const AttendCase& c, HeadEdit edit, Pos head) {
  const Problem problem(c);
  const detail::Steered steered(problem, edit, head);
  std::vector<HeadEdit> edits(static_cast<std::size_t>(c.n_heads));
  on_every_target([&](const std::string&) {
    if (c.precision == Precision::kI16 && !kernel::has_fixed()) return;
    if (c.precision == Precision::kBf16 && !kernel::has_bf16()) return;
    Output plain = problem.output(), neutral = problem.output(), edited = problem.output();
    problem.run(plain, team_of(c.team), used_workspace());
    detail::run_edited(problem, edits, neutral);
    EXPECT_TRUE(neutral.same_bits(plain)) << "neutral edits change bits of " << c;
    std::vector<HeadEdit> one = edits;
    one[static_cast<std::size_t>(head)] = edit;
    detail::run_edited(problem, one, edited);
    EXPECT_TRUE(edited.gaps_untouched()) << c;
    for (Pos i = 0; i < c.q_len; ++i) {
      for (Pos other = 0; other < c.n_heads; ++other) {
        if (other == head && !edit.neutral()) continue;
        ASSERT_TRUE(edited.same_bits(plain, i, other)) << "head " << other << ", query " << i << " of " << c;
      }
    }
    for (Pos i = 0; i < c.q_len; i += 1 + c.q_len / 12) {
      const float lse = edited.lse(i, head);
      ASSERT_TRUE(judge(steered.expect(i), edited.o(i, head), &lse, c.seed)) << "edited head of " << c;
    }
  });
}

/// The laws of Steer for every set of parameters of a mechanism.
template <SteerMechanism M>
void check_steer_laws(const std::vector<M>& params) {
  for (const M& mechanism : params) {
    Pos head = 0;
    for (const AttendCase& c : detail::steered_cases()) check_edit(c, mechanism.edit(), head++ % c.n_heads);
  }
}

}  // namespace saccade::testing
