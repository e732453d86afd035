#include "saccade/where/parts/held.h"

#include <gtest/gtest.h>

#include <memory>

#include "saccade/where/dense.h"
#include "saccade/where/parts/lists.h"
#include "saccade/where/sink.h"
#include "saccade/where/window.h"
#include "tests/laws/where_laws.h"

namespace saccade {
namespace {

/// The query at 700 saw blocks 0, 3 and 10 of 64 keys.
WherePtr blocks() {
  Lists lists;
  const std::int32_t seen[] = {0, 3, 10};
  lists.add(seen);
  return std::make_shared<BlockLists>(64, 64, 10, std::move(lists));
}

TEST(Held, LaterQueriesSeeTheSameAndWhatCameSince) {
  const Held held(blocks(), 700);
  for (const Pos q_pos : {701, 703, 770, 900}) {
    for (Pos k_pos = 0; k_pos < 1000; ++k_pos) {
      const bool chosen = k_pos < 64 || (k_pos >= 192 && k_pos < 256) || (k_pos >= 640 && k_pos <= 700);
      EXPECT_EQ(held.admits(q_pos, k_pos), chosen || (k_pos > 700 && k_pos <= q_pos)) << q_pos << ' ' << k_pos;
    }
  }
  VisitList list;
  held.visits({703, 704}, list);
  EXPECT_EQ(list.front(), (Visit{{0, 64}, true}));
  EXPECT_EQ(list.back(), (Visit{{701, 704}, true}));
}

TEST(Held, VisitsAndMaskAgreeWithTheDefinition) {
  for (const WherePtr& where :
       {blocks(), make_where(where::Dense{}), unite({make_where(where::Window{90}), make_where(where::Sink{5})})}) {
    const Held held(where, 700);
    for (const Range q_block : {Range{701, 702}, Range{710, 711}, Range{760, 800}}) {
      VisitList list;
      held.visits(q_block, list);
      Pos end = 0;
      for (const Visit& visit : list) {
        EXPECT_GE(visit.keys.begin, end);
        EXPECT_LT(visit.keys.begin, visit.keys.end);
        end = visit.keys.end;
      }
      for (Pos q_pos = q_block.begin; q_pos < q_block.end; ++q_pos) {
        std::uint32_t words[32];
        held.mask(q_pos, {13, 1000}, words);
        for (Pos k_pos = 0; k_pos < 1000; ++k_pos) {
          const bool seen = held.admits(q_pos, k_pos);
          const auto holds = [&](const Visit& visit) { return visit.keys.begin <= k_pos && k_pos < visit.keys.end; };
          const auto visit = std::find_if(list.begin(), list.end(), holds);
          if (seen) EXPECT_NE(visit, list.end()) << q_pos << ' ' << k_pos;
          if (visit != list.end() && visit->full) EXPECT_TRUE(seen) << q_pos << ' ' << k_pos;
          if (k_pos >= 13) EXPECT_EQ(words[(k_pos - 13) / 32] >> ((k_pos - 13) % 32) & 1U, seen ? 1U : 0U);
        }
      }
    }
  }
}

}  // namespace
}  // namespace saccade
