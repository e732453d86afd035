#include "saccade/where/quest.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "saccade/where/parts/lists.h"
#include "saccade/where/parts/memory.h"
#include "tests/laws/selector_laws.h"
#include "tests/support/error_line.h"

namespace saccade {
namespace {

using testing::SelectProblem;
using where::Quest;
using List = std::vector<std::int32_t>;

List list_of(const WherePtr& where, Pos q_pos) {
  const auto list = dynamic_cast<const BlockLists&>(*where).list(q_pos);
  return {list.begin(), list.end()};
}

TEST(Quest, ObeysTheLawsOfSelectors) {
  testing::check_selector_laws<Quest>({{.budget = 256, .share = 0, .dense_layers = 0},
                                       {.page = 16, .budget = 0, .share = 0.25, .dense_layers = 0},
                                       {.page = 50, .budget = 200, .dense_layers = 0}},
                                      {.budget = INT64_MAX, .share = 1, .dense_layers = 0},
                                      {{.budget = 256, .share = 0, .dense_layers = 0}});
}

TEST(Quest, WorkedByHand) {
  // The card's page: keys (1, 0), (0, 1), (-1, -1), so that no key scores more than 3 with (1, -2); the true best
  // scores 1. Four pages of three keys; the others score at most 2, 4 and -9, and the last page is always there.
  SelectProblem problem({.q_begin = 11, .q_len = 1, .n_heads = 1});
  const auto row = [](float x, float y) {
    std::vector<float> r(32, 0.0F);
    r[0] = x, r[1] = y;
    return r;
  };
  problem.q.set(0, 0, row(1, -2));
  const float keys[12][2] = {{1, 0}, {0, 1},  {-1, -1}, {2, 0},  {1, 0},  {0, 0},
                             {0, 0}, {0, -2}, {-1, 1},  {-9, 0}, {-9, 0}, {-9, 0}};
  for (Pos j = 0; j < 12; ++j) problem.k.set(j, 0, row(keys[j][0], keys[j][1]));
  Alone alone;
  const Quest quest{.page = 3, .budget = 9, .share = 0, .dense_layers = 0};
  EXPECT_EQ(list_of(choose(*make_choice(quest), problem.call(alone)).of_head[0], 11), (List{0, 2, 3}));
}

/// The pages of a group are those to which its heads give most, all together, if bounds are taken for scores: in fp64
/// from the keys.
TEST(Quest, KeepsThePagesOfTheLargestBounds) {
  for (const Pos n_heads : {2, 14, 22}) {  // 22: more heads in a group than are scored together
    const SelectProblem problem(
        {.q_begin = 5001, .q_len = 1, .n_heads = n_heads, .n_kv_heads = 2, .head_dim = 64, .k_type = DType::f16});
    const std::unique_ptr<Team> team = make_thread_team(2);
    const Selection chosen =
        choose(*make_choice(Quest{.budget = 500, .share = 0.1, .dense_layers = 0}), problem.call(*team));
    EXPECT_EQ(chosen.scope, Scope::kKvHead);
    const std::vector<float> k = problem.k.decoded(), q = problem.q.decoded();
    for (Pos kv = 0; kv < 2; ++kv) {
      std::vector<double> shares(313, 0.0);
      for (Pos head = kv * n_heads / 2; head < (kv + 1) * n_heads / 2; ++head) {
        std::vector<double> weights;
        double all = 0;
        for (Pos page = 0; page < 313; ++page) {
          double bound = 0;
          for (Pos c = 0; c < 64; ++c) {
            double term = -std::numeric_limits<double>::infinity();
            for (Pos j = page * 16; j < std::min<Pos>(5002, page * 16 + 16); ++j) {
              term = std::max(term, double{q[static_cast<std::size_t>(head * 64 + c)]} *
                                        double{k[static_cast<std::size_t>((j * 2 + kv) * 64 + c)]});
            }
            bound += term;
          }
          all += weights.emplace_back(std::exp(bound / 8.0));
        }
        for (std::size_t page = 0; page < 313; ++page) shares[page] += weights[page] / all;
      }
      std::vector<std::pair<double, std::int32_t>> pages{{-1e9, 312}};  // the newest one in any case
      for (std::size_t page = 0; page < 312; ++page) pages.emplace_back(-shares[page], static_cast<std::int32_t>(page));
      std::ranges::sort(pages);
      List expected;
      for (std::size_t i = 0; i < 62; ++i) expected.push_back(pages[i].second);  // (500 + 500.2) / 16
      std::ranges::sort(expected);
      const auto head = static_cast<std::size_t>(kv * n_heads / 2);
      EXPECT_EQ(list_of(chosen.of_head[head], 5001), expected);
      for (std::size_t other = head; other < head + static_cast<std::size_t>(n_heads / 2); ++other) {
        EXPECT_EQ(chosen.of_head[other], chosen.of_head[head]);
      }
    }
  }
}

/// One head's query is a hundred times as long as the other's, and both look at a page of their own.
TEST(Quest, NoHeadDrownsTheOthers) {
  SelectProblem problem({.q_begin = 639, .q_len = 1, .n_heads = 2});
  const auto axis = [](std::size_t at, float x) {
    std::vector<float> row(32, 0.0F);
    row[at] = x;
    return row;
  };
  problem.q.set(0, 0, axis(0, 1000)), problem.q.set(0, 1, axis(1, 10));
  for (Pos j = 0; j < 640; ++j) problem.k.set(j, 0, j == 100 ? axis(0, 9) : j == 300 ? axis(1, 9) : axis(0, 1));
  Alone alone;
  const Quest quest{.budget = 48, .share = 0, .dense_layers = 0};
  EXPECT_EQ(list_of(choose(*make_choice(quest), problem.call(alone)).of_head[1], 639), (List{6, 18, 39}));
}

/// A prompt in two batches and steps after it: with a memory as without.
TEST(Quest, RemembersWhatItWouldFindAnew) {
  const SelectProblem problem({.q_len = 700, .n_heads = 4, .n_kv_heads = 2, .k_type = DType::q8_0});
  Alone alone;
  KeyMemory memory;
  const ChoicePtr choice = make_choice(Quest{.budget = 64, .share = 0, .dense_layers = 0});
  for (const Range some : {Range{0, 300}, Range{300, 650}, Range{650, 651}, Range{651, 652}, Range{640, 641},
                           Range{641, 642}, Range{660, 661}}) {
    SelectCall call = SelectProblem::part(problem.call(alone), some);
    const Selection anew = choose(*choice, call);
    call.memory = &memory;
    EXPECT_TRUE(testing::detail::same(choose(*choice, call), anew, call)) << some.begin;
    EXPECT_GT(memory.bytes(), 0U);
  }
}

TEST(Quest, FirstLayersAndPromptsAreDense) {
  const SelectProblem problem({.q_begin = 900, .q_len = 100});
  Alone alone;
  SelectCall prompt = problem.call(alone), step = SelectProblem::part(prompt, {999, 1000});
  const ChoicePtr choice = make_choice(Quest{.budget = 64});
  for (const int layer : {0, 1, 2, 3}) {
    prompt.layer = step.layer = layer;
    EXPECT_EQ(choose(*choice, prompt).n_dense_by_rule, 2);
    EXPECT_EQ(choose(*choice, step).n_dense_by_rule, layer < 2 ? 2 : 0);
  }
}

TEST(Quest, RejectsParametersThatMakeNoSense) {
  const auto line = [](const Quest& m) { return testing::error_line([&] { make_choice(m); }); };
  EXPECT_EQ(line({.page = 0}), "where/quest: page must be >= 1, got 0");
  EXPECT_EQ(line({.budget = -1}), "where/quest: budget must be >= 0, got -1");
  EXPECT_EQ(line({.share = 1.5}), "where/quest: share must be >= 0 and <= 1, got 1.500000");
  EXPECT_EQ(line({.dense_layers = -1}), "where/quest: dense_layers must be >= 0, got -1");
}

}  // namespace
}  // namespace saccade
