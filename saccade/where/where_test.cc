#include "saccade/where/where.h"

#include <gtest/gtest.h>

#include "saccade/where/dense.h"
#include "saccade/where/sink.h"
#include "saccade/where/window.h"
#include "tests/support/picture.h"

namespace saccade {
namespace {

using testing::picture;

const WherePtr kWindow = make_where(where::Window{.n = 2});
const WherePtr kWide = make_where(where::Window{.n = 4096});
const WherePtr kSink = make_where(where::Sink{.n = 1});

TEST(Where, UnionByHand) {
  const WherePtr where = unite({kWindow, kSink});
  EXPECT_EQ(picture(*where, 4),
            "#...\n"
            "##..\n"
            "###.\n"
            "#.##\n");
  VisitList visits;
  where->visits({5, 6}, visits);
  EXPECT_EQ(visits, (VisitList{{{0, 1}, true}, {{4, 6}, true}}));
}

TEST(Where, IntersectionByHand) {
  EXPECT_EQ(picture(*intersect({kWindow, kSink}), 4),
            "#...\n"
            "#...\n"
            "....\n"
            "....\n");
}

TEST(Where, OnePartIsThePartItself) {
  EXPECT_EQ(unite({kWindow}), kWindow);
  EXPECT_EQ(intersect({kSink}), kSink);
}

TEST(Where, MaskSetsOneBitPerKeyAndClearsTheRest) {
  std::uint32_t words[2] = {0xFFFFFFFF, 0xFFFFFFFF};
  make_where(where::Window{.n = 3})->mask(40, {8, 43}, words);  // 35 keys; 38, 39 and 40 are seen: bits 30, 31 and 32
  EXPECT_EQ(words[0], 0xC0000000U);
  EXPECT_EQ(words[1], 0x00000001U);
}

TEST(Where, AJoinedMaskIsWhatItsPartsAdmit) {
  const WherePtr three = unite({make_where(where::Window{.n = 300}), kSink, intersect({kWindow, kSink})});
  for (const Range keys : {Range{0, 1}, Range{0, 256}, Range{3, 260}, Range{700, 1711}}) {
    std::vector<std::uint32_t> words(static_cast<std::size_t>((keys.size() + 31) / 32) + 1, 0xA5A5A5A5U);
    three->mask(1500, keys, words.data());
    for (Pos j = 0; j < keys.size(); ++j) {
      const bool bit = (words[static_cast<std::size_t>(j / 32)] >> (j % 32) & 1U) != 0;
      EXPECT_EQ(bit, three->admits(1500, keys.begin + j)) << keys.begin + j;
    }
    EXPECT_EQ(words.back(), 0xA5A5A5A5U) << "nothing is written behind the last word";
  }
}

/// Dense, but sharp for whole steps only.
struct Stepped : where::Dense {
  Pos step = 64;
  Pos q_step() const { return step; }
};

TEST(Where, AJoinStepsAsTheFinestOfItsPartsThatStepsAtAll) {
  const WherePtr by64 = make_where(Stepped{{}, 64}), by128 = make_where(Stepped{{}, 128});
  EXPECT_EQ(kWindow->q_step(), 128) << "a narrow one";
  EXPECT_EQ(kWide->q_step(), 1);
  EXPECT_EQ(by64->q_step(), 64);
  EXPECT_EQ(unite({kWide, kSink})->q_step(), 1);
  EXPECT_EQ(unite({kWindow, by128, by64, kSink})->q_step(), 64);
  EXPECT_EQ(intersect({by128, kSink})->q_step(), 128);
  EXPECT_EQ(unite({intersect({by128, kSink}), kWindow})->q_step(), 128);
}

}  // namespace
}  // namespace saccade
