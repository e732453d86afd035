#include "saccade/where/moba.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "saccade/where/parts/memory.h"
#include "tests/laws/selector_laws.h"
#include "tests/support/error_line.h"

namespace saccade {
namespace {

using testing::SelectProblem;
using where::Moba;

/// The chunks of `chunk` keys that a query sees any of, and all of those it sees it sees up to itself.
std::vector<Pos> chunks_of(const Where& where, Pos q_pos, Pos chunk) {
  std::vector<Pos> chunks;
  for (Pos begin = 0; begin <= q_pos; begin += chunk) {
    const bool seen = where.admits(q_pos, begin);
    for (Pos k_pos = begin; k_pos < begin + chunk; ++k_pos) {
      EXPECT_EQ(where.admits(q_pos, k_pos), seen && k_pos <= q_pos) << q_pos << " " << k_pos;
    }
    if (seen) chunks.push_back(begin / chunk);
  }
  return chunks;
}

TEST(Moba, ObeysTheLawsOfSelectors) {
  testing::check_selector_laws<Moba>({{.chunk = 64}, {.chunk = 100, .top_k = 1}, {.chunk = 7, .top_k = 20}, {}},
                                     {.top_k = INT64_MAX}, {{.chunk = 64}, {.chunk = 100, .top_k = 2}});
}

TEST(Moba, WorkedByHand) {
  // Chunks of 4, top 2. Means along the axis that all queries look: 1, 3, 2, and the last, unfinished one 9.
  SelectProblem problem({.q_begin = 3, .q_len = 11, .n_heads = 1});
  const auto row = [](float size) {
    std::vector<float> r(32, 0.0F);
    r[0] = size;
    return r;
  };
  const float keys[14] = {1, 1, 1, 1, 0, 6, 0, 6, 2, 2, 2, 2, 9, 9};
  for (Pos j = 0; j < 14; ++j) problem.k.set(j, 0, row(keys[j]));
  for (Pos i = 0; i < 11; ++i) problem.q.set(i, 0, row(1));
  Alone alone;
  const WherePtr where = choose(*make_choice(Moba{.chunk = 4, .top_k = 2}), problem.call(alone)).of_head[0];
  const auto chunks = [&](Pos q_pos) { return chunks_of(*where, q_pos, 4); };
  EXPECT_EQ(chunks(3), (std::vector<Pos>{0}));
  EXPECT_EQ(chunks(4), (std::vector<Pos>{0, 1}));
  EXPECT_EQ(chunks(8), (std::vector<Pos>{1, 2}));
  EXPECT_EQ(chunks(12), (std::vector<Pos>{1, 3}));
  VisitList visits;
  where->visits({7, 9}, visits);  // 7 sees chunks 0 and 1, 8 sees 1 and 2: [4, 8) is seen by both
  EXPECT_EQ(visits, (VisitList{{{0, 4}, false}, {{4, 8}, true}, {{8, 9}, false}}));
  where->visits({12, 14}, visits);
  EXPECT_EQ(visits, (VisitList{{{4, 8}, true}, {{12, 13}, true}, {{13, 14}, false}}));
}

/// Each query by itself, by the card's definition in fp64.
TEST(Moba, GatesEveryQueryByMeansOfFinishedChunks) {
  const SelectProblem problem({.q_begin = 437, .q_len = 300, .n_heads = 4, .n_kv_heads = 2, .k_type = DType::f16});
  const std::unique_ptr<Team> team = make_thread_team(2);
  const Moba moba{.chunk = 50, .top_k = 4};
  const Selection chosen = choose(*make_choice(moba), problem.call(*team));
  for (Pos head = 0; head < 4; ++head) {
    for (Pos q_pos = 437; q_pos < 737; q_pos += 13) {
      const std::vector<float> q = problem.q.get(q_pos - 437, head);
      const Pos own = q_pos / 50;
      std::vector<std::pair<double, Pos>> gates;
      for (Pos i = 0; i < own; ++i) {
        double gate = 0;
        for (Pos j = i * 50; j < i * 50 + 50; ++j) {
          const std::vector<float> k = problem.k.get(j, head / 2);
          for (std::size_t c = 0; c < k.size(); ++c) gate += double{q[c]} * double{k[c]};
        }
        gates.emplace_back(-gate, i);
      }
      std::ranges::sort(gates);
      std::vector<Pos> expected{own};
      for (std::size_t i = 0; i < 3; ++i) expected.push_back(gates[i].second);
      std::ranges::sort(expected);
      EXPECT_EQ(chunks_of(*chosen.of_head[static_cast<std::size_t>(head)], q_pos, 50), expected) << q_pos;
    }
  }
}

TEST(Moba, RemembersWhatItWouldFindAnew) {
  const SelectProblem problem({.q_len = 700, .n_heads = 4, .n_kv_heads = 2, .k_type = DType::q8_0});
  Alone alone;
  KeyMemory memory;
  const ChoicePtr choice = make_choice(Moba{.chunk = 64});
  for (const Range some : {Range{0, 300}, Range{300, 650}, Range{650, 651}, Range{500, 501}, Range{501, 700}}) {
    SelectCall call = SelectProblem::part(problem.call(alone), some);
    const Selection anew = choose(*choice, call);
    call.memory = &memory;
    EXPECT_TRUE(testing::detail::same(choose(*choice, call), anew, call)) << some.begin;
  }
  EXPECT_GT(memory.bytes(), 0U);
}

TEST(Moba, RejectsParametersThatMakeNoSense) {
  const auto line = [](const Moba& m) { return testing::error_line([&] { make_choice(m); }); };
  EXPECT_EQ(line({.chunk = 0}), "where/moba: chunk must be >= 1, got 0");
  EXPECT_EQ(line({.top_k = 0}), "where/moba: top_k must be >= 1, got 0");
}

}  // namespace
}  // namespace saccade
