#include "saccade/where/streaming.h"

#include <gtest/gtest.h>

#include "tests/laws/where_laws.h"
#include "tests/support/error_line.h"
#include "tests/support/picture.h"

namespace saccade::where {
namespace {

TEST(Streaming, Laws) {
  testing::check_where_laws<Streaming>({{},
                                        {.n_sink = 0, .window = 1},
                                        {.n_sink = 4, .window = 3},
                                        {.n_sink = 100, .window = 64},
                                        {.n_sink = INT64_MAX, .window = INT64_MAX}});
}

TEST(Streaming, ByHand) {
  EXPECT_EQ(testing::picture(Streaming{.n_sink = 1, .window = 2}, 5),
            "#....\n"
            "##...\n"
            "###..\n"
            "#.##.\n"
            "#..##\n");
  VisitList visits;
  Streaming{.n_sink = 4, .window = 6}.visits({12, 14}, visits);  // 12 sees [7, 13), 13 sees [8, 14)
  EXPECT_EQ(visits, (VisitList{{{0, 4}, true}, {{7, 8}, false}, {{8, 13}, true}, {{13, 14}, false}}));
}

TEST(Streaming, ATextThatFitsIsSeenWhole) {
  for (Pos q_pos = 0; q_pos < 12; ++q_pos) {
    for (Pos k_pos = 0; k_pos < 12; ++k_pos) {
      EXPECT_EQ((Streaming{.n_sink = 4, .window = 8}.admits(q_pos, k_pos)), k_pos <= q_pos);
    }
  }
}

TEST(Streaming, RefusesWhatMakesNoSense) {
  EXPECT_EQ(testing::error_line([] { make_where(Streaming{.n_sink = -1}); }),
            "where/streaming: n_sink must be >= 0, got -1");
  EXPECT_EQ(testing::error_line([] { make_where(Streaming{.window = 0}); }),
            "where/streaming: window must be >= 1, got 0");
}

}  // namespace
}  // namespace saccade::where
