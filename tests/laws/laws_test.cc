// The harnesses themselves: the mechanisms that keep the laws pass, and each way of breaking one is caught.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/laws/combine_laws.h"
#include "tests/laws/where_laws.h"
#include "tests/tolerance.h"

namespace saccade::testing {
namespace {

using ::testing::HasSubstr;

TEST(WhereLaws, HoldForWhatSaccadeHas) {
  check_where_laws<where::Dense>({{}});
  check_where_laws<where::None>({{}});
  check_where_laws<where::Sink>({{.n = 0}, {.n = 1}, {.n = 4}, {.n = 131}});
  check_where_laws<where::Window>({{.n = 1}, {.n = 2}, {.n = 64}, {.n = 509}, {.n = INT64_MAX}});
}

TEST(WhereLaws, HoldForTheIrregular) {
  check_where_laws<Thirds>({{}});
  check_where_laws<Hundreds>({{}});
}

struct LiesAboutFull : where::Window {
  void visits(Range q_block, VisitList& out) const {
    Window::visits(q_block, out);
    for (Visit& visit : out) visit.full = true;
  }
};
struct ForgetsTheLastKey : where::Window {
  void visits(Range q_block, VisitList& out) const {
    Window::visits(q_block, out);
    clip(out, {0, q_block.end - 1});
  }
};
struct VisitsTwice : where::Window {
  void visits(Range q_block, VisitList& out) const {
    Window::visits(q_block, out);
    out.push_back(out.back());
  }
};
struct LeavesAnEmptyVisit : where::Window {
  void visits(Range q_block, VisitList& out) const {
    Window::visits(q_block, out);
    out.push_back({{q_block.end, q_block.end}, false});
  }
};
struct AppendsOnly : where::Window {
  void visits(Range q_block, VisitList& out) const {
    VisitList mine;
    Window::visits(q_block, mine);
    out.insert(out.end(), mine.begin(), mine.end());
  }
};

TEST(WhereLaws, CatchEveryWayOfBreakingThem) {
  const auto verdict = [](WherePtr where) {
    const auto held = where_laws_hold(*where, 1);
    EXPECT_FALSE(held);
    return std::string(held.message());
  };
  EXPECT_THAT(verdict(make_where(LiesAboutFull{{.n = 9}})), HasSubstr("a full visit lies"));
  EXPECT_THAT(verdict(make_where(ForgetsTheLastKey{{.n = 9}})), HasSubstr("which is not visited"));
  EXPECT_THAT(verdict(make_where(VisitsTwice{{.n = 9}})), HasSubstr("not disjoint"));
  EXPECT_THAT(verdict(make_where(LeavesAnEmptyVisit{{.n = 9}})), HasSubstr("an empty visit"));
  EXPECT_THAT(verdict(make_where(AppendsOnly{{.n = 9}})), HasSubstr("before zero"));

  struct MasksWrong final : Where {
    WherePtr inner = make_where(where::Window{9});
    std::size_t extra_word = 0;
    bool admits(Pos q_pos, Pos k_pos) const override { return inner->admits(q_pos, k_pos); }
    void visits(Range q_block, VisitList& out) const override { inner->visits(q_block, out); }
    void mask(Pos q_pos, Range keys, std::uint32_t* words) const override {
      const Pos n_words = (keys.size() + 31) / 32;
      inner->mask(q_pos, {keys.begin, extra_word != 0 ? keys.end : keys.begin + n_words * 32}, words);
      if (extra_word != 0) words[n_words] = 0;
    }
  };
  auto masks_wrong = std::make_shared<MasksWrong>();
  EXPECT_THAT(verdict(masks_wrong), HasSubstr("should be clear")) << "bits behind the end of the keys";
  masks_wrong->extra_word = 1;
  EXPECT_THAT(verdict(masks_wrong), HasSubstr("behind its last word"));
}

TEST(Tolerance, SaysWhereWhatAndHowFar) {
  Expected row{.i = 7, .head = 3, .exact = {{1.0, 2.0}, 0.5, {0, 1}}, .size = 2.0};
  const float lse = 0.5F;
  EXPECT_TRUE(judge(row, std::vector<float>{1.0F, 2.000001F}, &lse, 11)) << "within 4 eps max|v|";
  const auto off = judge(row, std::vector<float>{1.0F, 2.00001F}, &lse, 11);
  EXPECT_FALSE(off);
  for (const char* word : {"head 3", "query 7", "o[1]", "expected 2", "got 2.00001", "allowed 9.5", "seed 11"}) {
    EXPECT_THAT(off.message(), HasSubstr(word));
  }
  row.plain_error_o = 1e-5;
  EXPECT_TRUE(judge(row, std::vector<float>{1.0F, 2.00001F}, &lse, 11)) << "the plain loop is as far off";
  row.plain_error_o = 0.0;

  const float other_lse = 0.51F, nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(judge(row, std::vector<float>{1.0F, 2.0F}, &other_lse, 11).message(), HasSubstr("lse"));
  EXPECT_TRUE(judge(row, std::vector<float>{1.0F, 2.0F}, nullptr, 11));
  EXPECT_FALSE(judge(row, std::vector<float>{nan, 2.0F}, &lse, 11)) << "never written";
  EXPECT_FALSE(judge(row, std::vector<float>{1.0F, 2.0F}, &nan, 11)) << "never written";
}

TEST(Tolerance, EmptyRowsAreExactAndNaNIsNotLost) {
  const float nothing = -std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const Expected empty{.exact = {{0.0}, nothing, {}}};
  EXPECT_TRUE(judge(empty, std::vector<float>{0.0F}, &nothing, 1));
  EXPECT_FALSE(judge(empty, std::vector<float>{1e-30F}, &nothing, 1));
  EXPECT_FALSE(judge(empty, std::vector<float>{nan}, &nothing, 1));
  EXPECT_FALSE(judge(empty, std::vector<float>{0.0F}, &nan, 1));
  const Expected sick{.exact = {{nan, 1.0}, 0.0, {0}}, .size = 1.0};
  const float lse = 0.0F;
  EXPECT_TRUE(judge(sick, std::vector<float>{nan, 1.0F}, &lse, 1));
  EXPECT_FALSE(judge(sick, std::vector<float>{1.0F, 1.0F}, &lse, 1)) << "a NaN was lost";
  EXPECT_FALSE(judge(sick, std::vector<float>{nan, nan}, &lse, 1)) << "a NaN has spread";
}

// Scores 0, ln 2, ln 3 and values 1, 2, 3: o = 14/6, lse = ln 6, by hand.
TEST(Oracle, WorkedByHand) {
  const oracle::Inputs in{.q_len = 1,
                          .kv_len = 4,
                          .head_dim = 1,
                          .q = {2.0F},
                          .k = {0.0F, std::log(2.0F), std::log(3.0F), 50.0F},
                          .v = {1.0F, 2.0F, 3.0F, 1e6F},
                          .kv_head = {0},
                          .scale = 0.5F,
                          .q_begin = 2};
  const auto causal = [](Pos q, Pos k) { return k <= q; };
  const auto row = oracle::attend_row<double>(in, 0, 0, causal, [](auto score) { return score; });
  EXPECT_NEAR(row.o[0], 14.0 / 6.0, 1e-6);
  EXPECT_NEAR(row.lse, std::log(6.0), 1e-6);
  EXPECT_THAT(row.seen, ::testing::ElementsAre(0, 1, 2));

  const auto blind = oracle::attend_row<double>(
      in, 0, 0, [](Pos, Pos) { return false; }, [](auto score) { return score; });
  EXPECT_EQ(blind.o[0], 0.0);
  EXPECT_EQ(blind.lse, -std::numeric_limits<double>::infinity());
}

}  // namespace
}  // namespace saccade::testing
