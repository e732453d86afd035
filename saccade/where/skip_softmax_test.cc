#include "saccade/where/skip_softmax.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "saccade/where/choice.h"
#include "saccade/where/dense.h"
#include "saccade/where/floor.h"
#include "saccade/where/local.h"
#include "saccade/where/sink.h"
#include "saccade/where/sparge.h"
#include "saccade/where/window.h"
#include "saccade/where/within.h"
#include "tests/support/error_line.h"
#include "tests/support/select_case.h"

namespace saccade {
namespace {

using testing::error_line;
using where::SkipSoftmax;

template <class... M>
ChoicePtr joined(M... mechanisms) {
  std::vector<ChoicePtr> parts;
  (parts.push_back(make_choice(std::move(mechanisms))), ...);
  return unite(std::move(parts));
}

TEST(SkipSoftmax, IsSaidOfPatterns) {
  const ChoicePtr some = joined(SkipSoftmax{0.01}, where::Window{9}, where::Sink{});
  EXPECT_EQ(some->pattern()->skips(), 0.01);
  EXPECT_TRUE(some->pattern()->admits(20, 12));
  EXPECT_FALSE(some->pattern()->admits(20, 11));
  EXPECT_EQ(joined(where::Window{9}, where::Sink{})->pattern()->skips(), 0);
  EXPECT_FALSE(some->traits().exact_on_selection);
}

TEST(SkipSoftmax, AloneShowsNothing) { EXPECT_FALSE(make_choice(SkipSoftmax{})->pattern()->admits(3, 3)); }

/// Whatever heads turn into until all is chosen.
TEST(SkipSoftmax, IsSaidOfAllThatIsChosen) {
  const testing::SelectProblem problem({.q_begin = 1024, .q_len = 256});
  const std::unique_ptr<Team> team = make_thread_team(2);
  const SelectCall call = problem.call(*team);
  const where::Sparge sparge{.tau = 0.5};
  for (const ChoicePtr& choice :
       {joined(sparge, SkipSoftmax{0.01}), joined(sparge, where::Floor{.mass = 1}, SkipSoftmax{0.01}),
        joined(SkipSoftmax{0.01}, sparge, where::Local{2}, where::Within{.error = 0}),
        unite({joined(sparge, SkipSoftmax{0.01}), make_choice(where::Window{9})})}) {
    const Selection chosen = choose(*choice, call);
    ASSERT_EQ(chosen.of_head.size(), call.heads.size());
    for (const WherePtr& where : chosen.of_head) EXPECT_EQ(where->skips(), 0.01);
  }
  SelectCall falls_back = call;
  falls_back.fallbacks = true;
  Foresight foresight;
  foresight.learn(call, 1, 0);  // choosing did not pay
  const Selection dense = choose(*joined(sparge, SkipSoftmax{0.01}), falls_back, &foresight);
  EXPECT_EQ(dense.n_dense_by_cost, 2);
  for (const WherePtr& where : dense.of_head) EXPECT_EQ(where->skips(), 0.01);
}

TEST(SkipSoftmax, HeadsThatShareAPatternGoOnSharing) {
  const testing::SelectProblem problem({.q_begin = 1024, .q_len = 256, .n_heads = 4, .n_kv_heads = 2});
  const std::unique_ptr<Team> team = make_thread_team(2);
  const Selection chosen =
      choose(*joined(where::Sparge{.tau = 1.0}, where::Floor{.mass = 1}, SkipSoftmax{0.01}), problem.call(*team));
  const Selection plain = choose(*joined(where::Sparge{.tau = 1.0}, where::Floor{.mass = 1}), problem.call(*team));
  for (std::size_t a = 0; a < 4; ++a) {
    for (std::size_t b = 0; b < 4; ++b)
      EXPECT_EQ(chosen.of_head[a] == chosen.of_head[b], plain.of_head[a] == plain.of_head[b]);
  }
}

TEST(SkipSoftmax, RefusesWhatMakesNoSense) {
  EXPECT_EQ(error_line([] {
              intersect({make_choice(where::Dense{}), make_choice(SkipSoftmax{})});
            }),
            "where: floor, within and skip_softmax go by what stands beside them, joined by +, not by &");
  EXPECT_EQ(error_line([] { joined(where::Dense{}, SkipSoftmax{}, SkipSoftmax{0.1}); }),
            "where: one skip_softmax in a spec is enough");
  EXPECT_EQ(error_line([] { make_choice(SkipSoftmax{0}); }),
            "where/skip_softmax: share must be > 0 and <= 1, got 0.000000");
}

}  // namespace
}  // namespace saccade
