#pragma once

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "saccade/base/team.h"
#include "saccade/where/choice.h"
#include "tests/laws/where_laws.h"
#include "tests/support/select_case.h"

namespace saccade::testing {

namespace detail {

/// Positions of a batch that are worth asking about: its ends and what lies around blocks of 64 and 128.
inline std::vector<Pos> rows_to_ask(Pos q_begin, Pos q_end) {
  std::vector<Pos> rows;
  for (Pos pos = q_begin; pos < q_end; ++pos) {
    const Pos within = pos % 64;
    if (pos < q_begin + 2 || pos + 3 > q_end || within == 0 || within == 63 || pos % 37 == 0) rows.push_back(pos);
  }
  return rows;
}

/// Nothing lies beyond a query's own position, and every query sees at least one key (T2).
inline ::testing::AssertionResult is_causal_and_not_empty(const Where& where, const SelectCall& call) {
  for (const Pos q_pos : rows_to_ask(call.q_begin, call.q_end())) {
    Pos seen = 0;
    for (Pos k_pos = 0; k_pos < call.k.len + 3; ++k_pos) {
      if (!where.admits(q_pos, k_pos)) continue;
      if (k_pos > q_pos) return ::testing::AssertionFailure() << "query " << q_pos << " sees key " << k_pos;
      ++seen;
    }
    if (seen == 0) return ::testing::AssertionFailure() << "query " << q_pos << " sees nothing";
  }
  return ::testing::AssertionSuccess();
}

/// Both show the queries of the call the same keys.
inline ::testing::AssertionResult same(const Where& a, const Where& b, const SelectCall& call) {
  for (const Pos q_pos : rows_to_ask(call.q_begin, call.q_end())) {
    for (Pos k_pos = 0; k_pos <= q_pos; ++k_pos) {
      if (a.admits(q_pos, k_pos) == b.admits(q_pos, k_pos)) continue;
      return ::testing::AssertionFailure() << "query " << q_pos << " sees key " << k_pos << " only in the "
                                           << (a.admits(q_pos, k_pos) ? "first" : "second");
    }
  }
  return ::testing::AssertionSuccess();
}

inline ::testing::AssertionResult same(const Selection& a, const Selection& b, const SelectCall& call) {
  if (a.of_head.size() != b.of_head.size()) return ::testing::AssertionFailure() << "not as many heads";
  for (std::size_t head = 0; head < a.of_head.size(); ++head) {
    if (auto held = same(*a.of_head[head], *b.of_head[head], call); !held) return held << " of head " << head;
  }
  return ::testing::AssertionSuccess();
}

/// Calls that bite: one query, blocks of 16, 64 and 128 +- 1, batches that begin within a block.
inline std::vector<SelectCase> select_cases() {
  std::vector<SelectCase> cases;
  std::uint64_t seed = 1;
  for (const auto& [q_begin, q_len] : {std::pair<Pos, Pos>{0, 1},
                                       {1, 1},
                                       {15, 1},
                                       {16, 1},
                                       {63, 1},
                                       {300, 1},
                                       {1000, 1},  // decode
                                       {0, 2},
                                       {0, 63},
                                       {0, 64},
                                       {0, 65},
                                       {0, 127},
                                       {0, 129},
                                       {0, 1000},
                                       {1, 130},
                                       {100, 28},
                                       {128, 256},
                                       {333, 300},
                                       {640, 7}}) {
    SelectCase c{.q_begin = q_begin, .q_len = q_len, .n_heads = 3, .n_kv_heads = 1, .seed = seed++};
    if (seed % 3 == 0) c.n_heads = 4, c.n_kv_heads = 2, c.k_type = DType::f16, c.head_dim = 64;
    if (seed % 5 == 0) c.k_type = DType::q8_0, c.q_type = DType::bf16, c.gain = 6.0F;
    cases.push_back(c);
  }
  return cases;
}

/// A call with numbers that are none, at one place or everywhere, must come back with lists as always.
inline void check_sick_numbers(const Choice& choice, const SelectCase& c, Team& team) {
  for (const float sick : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                           -std::numeric_limits<float>::infinity(), 3e38F}) {
    for (const bool everywhere : {false, true}) {
      for (const bool in_k : {false, true}) {
        SelectCase plain = c;
        plain.q_type = plain.k_type = DType::f32;
        SelectProblem problem(plain);
        Tensor& tensor = in_k ? problem.k : problem.q;
        std::vector<float> row(static_cast<std::size_t>(c.head_dim), sick);
        for (Pos i = everywhere ? 0 : tensor.view().len / 2; i < tensor.view().len; ++i) {
          for (Pos head = 0; head < tensor.view().n_heads; ++head) tensor.set(i, head, row);
          if (!everywhere) break;
        }
        const SelectCall call = problem.call(team);
        const Selection chosen = choose(choice, call);
        for (const WherePtr& where : chosen.of_head) {
          EXPECT_TRUE(is_causal_and_not_empty(*where, call))
              << sick << (everywhere ? " everywhere" : " once") << " in " << (in_k ? "k" : "q");
        }
      }
    }
  }
}

/// A key that everybody scores far above all others is seen by everybody who may (T4).
inline void check_needle(const Choice& choice, Team& team) {
  for (const Pos needle : {3, 200, 450, 511, 700}) {
    for (const bool decode : {false, true}) {
      if (decode ? !choice.traits().decode : !choice.traits().prefill) continue;
      SelectProblem problem({.q_begin = decode ? 1023 : 512,
                             .q_len = decode ? 1 : 512,
                             .n_heads = 4,
                             .n_kv_heads = 2,
                             .head_dim = 64,
                             .seed = static_cast<std::uint64_t>(needle)});
      problem.plant_needle(needle, 3000.0F);
      const SelectCall call = problem.call(team);
      const Selection chosen = choose(choice, call);
      for (std::size_t head = 0; head < chosen.of_head.size(); ++head) {
        for (const Pos q_pos : rows_to_ask(std::max(call.q_begin, needle), call.q_end())) {
          ASSERT_TRUE(chosen.of_head[head]->admits(q_pos, needle))
              << "head " << head << ", query " << q_pos << " misses the needle at " << needle;
        }
      }
    }
  }
}

/// The same for a head alone, any team, repeated; for each head with a copy of its keys (T7); for a prompt in two
/// batches where the selector says so (T6).
inline void check_same_anywhere(const Choice& choice, const SelectCase& c, Team& team) {
  const SelectProblem problem(c);
  const SelectCall call = problem.call(team);
  const Selection chosen = choose(choice, call);
  Alone alone;
  EXPECT_TRUE(same(chosen, choose(choice, problem.call(alone)), call)) << "alone";
  for (std::size_t head = 0; head < problem.heads.size() && chosen.scope == Scope::kQueryHead; ++head) {
    SelectCall one = call;
    one.heads = std::span(problem.heads).subspan(head, 1);
    EXPECT_TRUE(same(*choose(choice, one).of_head[0], *chosen.of_head[head], call)) << "head " << head << " alone";
  }
  if (chosen.scope == Scope::kQueryHead) {
    SelectCase wide = c;
    wide.n_kv_heads = c.n_heads;
    SelectProblem copies(wide);
    for (Pos j = 0; j < c.kv_len(); ++j) {
      for (int head = 0; head < c.n_heads; ++head) {
        copies.k.set(j, head, problem.k.get(j, problem.kv_head[static_cast<std::size_t>(head)]));
        if (j < c.q_len) copies.q.set(j, head, problem.q.get(j, head));
      }
    }
    EXPECT_TRUE(same(choose(choice, copies.call(team)), chosen, call)) << "a KV head for each query head";
  }
  if (!choice.traits().depends_on_batch && c.q_len > 2) {
    const Pos cut = c.q_begin + c.q_len / 2;
    for (const Range some : {Range{c.q_begin, cut}, Range{cut, c.kv_len()}}) {
      if (some.size() == 1) continue;
      const SelectCall part = SelectProblem::part(call, some);
      EXPECT_TRUE(same(choose(choice, part), chosen, part)) << "batch [" << some.begin << ", " << some.end << ")";
    }
  }
}

}  // namespace detail

/// The laws of a selector (T1 to T4, T6, T7 of the cards' conventions) for every set of parameters, over calls that
/// bite; its kTraits say which of them it promises. `everything`: parameters under which it must show all keys.
/// `generous`: those with a budget of at least two blocks, which must find the needle; all of `params` unless given.
template <Selector M>
void check_selector_laws(const std::vector<M>& params, const M& everything, const std::vector<M>& generous) {
  const std::unique_ptr<Team> team = make_thread_team(3);
  const std::vector<SelectCase> cases = detail::select_cases();
  std::uint64_t seed = 1;
  for (const M& mechanism : params) {
    SCOPED_TRACE("parameters:" + detail::print(mechanism));
    const ChoicePtr choice = make_choice(mechanism);
    for (const SelectCase& c : cases) {
      SCOPED_TRACE(::testing::PrintToString(c));
      const SelectProblem problem(c);
      SelectCall call = problem.call(*team);
      const Selection chosen = choose(*choice, call);
      ASSERT_EQ(chosen.of_head.size(), problem.heads.size());
      for (const WherePtr& where : chosen.of_head) {
        ASSERT_NE(where, nullptr);
        ASSERT_TRUE(!M::kTraits.causal || detail::is_causal_and_not_empty(*where, call));
        Random random(seed++);
        for (const Pos size : {1, 47, 48, 64, 128, 200}) {  // sorted, unique, disjoint, `full` never lies (T3)
          const Pos begin = random.between(c.q_begin, c.kv_len() - 1);
          ASSERT_TRUE(detail::block_holds(*where, {begin, std::min(begin + size, c.kv_len())}, random));
        }
      }
      if (c.q_len == 1 && !M::kTraits.decode) {
        EXPECT_EQ(chosen.n_dense_by_rule, static_cast<std::int64_t>(problem.heads.size()));
      }
      detail::check_same_anywhere(*choice, c, *team);
      call.fallbacks = true;
      for (const WherePtr& where : choose(*choice, call).of_head) {
        EXPECT_TRUE(!M::kTraits.causal || detail::is_causal_and_not_empty(*where, call)) << "with fall-backs";
      }
    }
    detail::check_sick_numbers(*choice, {.q_begin = 150, .q_len = 260, .n_heads = 2, .n_kv_heads = 1}, *team);
    detail::check_sick_numbers(*choice, {.q_begin = 299, .q_len = 1, .n_heads = 2, .n_kv_heads = 1}, *team);
  }
  for (const M& mechanism : generous) {
    SCOPED_TRACE("parameters:" + detail::print(mechanism));
    if (M::kTraits.needle) detail::check_needle(*make_choice(mechanism), *team);
  }

  SCOPED_TRACE("everything:" + detail::print(everything));
  const WherePtr dense = make_where(where::Dense{});
  for (const SelectCase& c : cases) {  // T1
    const SelectProblem problem(c);
    const SelectCall call = problem.call(*team);
    for (const WherePtr& where : choose(*make_choice(everything), call).of_head) {
      EXPECT_TRUE(detail::same(*where, *dense, call)) << "first: the selector, second: dense; " << c;
    }
  }
}

template <Selector M>
void check_selector_laws(const std::vector<M>& params, const M& everything) {
  check_selector_laws<M>(params, everything, params);
}

}  // namespace saccade::testing
