#include "saccade/where/choice.h"

#include <gtest/gtest.h>

#include <vector>

#include "saccade/base/error.h"
#include "saccade/where/dense.h"
#include "saccade/where/random.h"
#include "saccade/where/sink.h"
#include "saccade/where/window.h"

namespace saccade {
namespace {

/// Four heads of two KV heads over 1,000 keys, of which the last 300 are asked for.
struct Asked {
  std::vector<float> numbers = std::vector<float>(std::size_t{1000} * 4 * 32, 0.5F);
  std::vector<int> kv_head{0, 0, 1, 1}, heads{0, 1, 3};
  Alone alone;
  SelectCall call{.q = {numbers.data(), DType::f32, 300, 4, 32, std::ptrdiff_t{4} * 32 * 4, std::ptrdiff_t{32} * 4},
                  .k = {numbers.data(), DType::f32, 1000, 2, 32, std::ptrdiff_t{2} * 32 * 4, std::ptrdiff_t{32} * 4},
                  .kv_head = kv_head,
                  .heads = heads,
                  .q_begin = 700,
                  .team = &alone};
};

/// Widens the choice of the first head to dense.
struct FirstDense {
  static constexpr SelectTraits kTraits{};
  void review(const SelectCall&, Selection& chosen) const {
    chosen.of_head[0] = make_where(where::Dense{});
    ++chosen.n_dense_by_floor;
  }
};

TEST(Choice, APatternIsOneWithoutBeingAsked) {
  const ChoicePtr both = unite({make_choice(where::Window{5}), make_choice(where::Sink{2})});
  ASSERT_NE(both->pattern(), nullptr);
  EXPECT_TRUE(both->pattern()->admits(900, 1));
  EXPECT_TRUE(both->pattern()->admits(900, 896));
  EXPECT_FALSE(both->pattern()->admits(900, 895));
}

TEST(Choice, JoinsWhatSelectorsAndPatternsShow) {
  const Asked asked;
  const ChoicePtr random = make_choice(where::Random{.density = 0.2});
  EXPECT_EQ(random->pattern(), nullptr);
  const Selection alone = choose(*random, asked.call);
  const Selection wider = choose(*unite({random, make_choice(where::Sink{3})}), asked.call);
  const Selection narrower = choose(*intersect({make_choice(where::Window{200}), random}), asked.call);
  ASSERT_EQ(alone.of_head.size(), 3U);
  for (std::size_t head = 0; head < 3; ++head) {
    for (const Pos q_pos : {700, 767, 768, 999}) {
      for (Pos k_pos = 0; k_pos < 1000; ++k_pos) {
        const bool drawn = alone.of_head[head]->admits(q_pos, k_pos);
        EXPECT_EQ(wider.of_head[head]->admits(q_pos, k_pos), drawn || k_pos < 3);
        EXPECT_EQ(narrower.of_head[head]->admits(q_pos, k_pos), drawn && k_pos > q_pos - 200);
      }
    }
  }
}

TEST(Choice, AReviewerSeesWhatTheOthersChose) {
  const Asked asked;
  const Selection chosen =
      choose(*unite({make_choice(FirstDense{}), make_choice(where::Random{.density = 0.1})}), asked.call);
  EXPECT_TRUE(chosen.of_head[0]->admits(999, 500));
  EXPECT_EQ(chosen.n_dense_by_floor, 1);
  EXPECT_LT(estimated_pairs(*chosen.of_head[1], {700, 1000}, 1000), 300 * 300);
  EXPECT_THROW(intersect({make_choice(FirstDense{}), make_choice(where::Dense{})}), Error);
}

TEST(Choice, RunsDenseWhereNothingIsSaved) {
  Asked asked;
  const ChoicePtr most = make_choice(where::Random{.density = 0.92});
  EXPECT_EQ(choose(*most, asked.call).n_dense_by_cost, 3);
  asked.call.fallbacks = false;
  EXPECT_EQ(choose(*most, asked.call).n_dense_by_cost, 0);
}

/// Shows 100 keys to each query, and says that looking for them took as much as `spent` pairs.
class Costly final : public Choice {
 public:
  explicit Costly(std::int64_t spent) : spent_(spent) {}
  void choose(const SelectCall& call, Selection& out) const override {
    out.of_head.assign(call.heads.size(), make_where(where::Window{100}));
    out.cost.flop = spent_ * 4 * call.q.dim;
    ++n_asked;
  }
  mutable int n_asked = 0;

 private:
  std::int64_t spent_;
};

/// The calls of a prompt that is decoded from `begin` to `end`: how many were chosen for.
int n_asked(const Costly& costly, Foresight& foresight, Asked& asked, Pos begin, Pos end) {
  const int before = costly.n_asked;
  asked.call.q.len = 1;
  for (asked.call.q_begin = begin; asked.call.q_begin < end; ++asked.call.q_begin) {
    const int so_far = costly.n_asked;
    const Selection chosen = choose(costly, asked.call, &foresight);
    const bool was_asked = costly.n_asked > so_far;
    EXPECT_EQ(chosen.n_dense_by_cost, was_asked ? 0 : 3);
    EXPECT_EQ(chosen.of_head[0]->admits(asked.call.q_begin, 0), !was_asked);
  }
  return costly.n_asked - before;
}

TEST(Choice, ByForesightItDoesNotChooseWhereThatCostsMoreThanItSaves) {
  Asked asked;
  // Three heads save at most 3 (901 - 115) pairs between 900 and 916 keys, where none is an eighth more.
  const Costly cheap(2000), dear(3000);
  Foresight of_cheap, of_dear;
  EXPECT_EQ(n_asked(cheap, of_cheap, asked, 900, 916), 16);
  EXPECT_EQ(n_asked(dear, of_dear, asked, 900, 916), 1);
  EXPECT_EQ(n_asked(dear, of_dear, asked, 916, 918), 1) << "another try after 16 calls";
  EXPECT_EQ(n_asked(dear, of_dear, asked, 500, 510), 1) << "another text";
  EXPECT_EQ(n_asked(dear, of_dear, asked, 600, 602), 1) << "a longer one";
  asked.call.fallbacks = false;
  EXPECT_EQ((choose(dear, asked.call, &of_dear).n_dense_by_cost), 0);
}

TEST(Choice, CountsPairsBeforeTheyRun) {
  // Blocks of 28, 128 and 44 queries: all keys before each, and half of its own square.
  const std::int64_t expected = 28 * 101 + 28 * 27 / 2 + 128 * 129 + 128 * 127 / 2 + 44 * 257 + 44 * 43 / 2;
  EXPECT_EQ(estimated_pairs(*make_where(where::Dense{}), {100, 300}, 300), expected);
}

TEST(Random, DrawsWhatItSaysAndTheSameAnywhere) {
  Asked asked;
  const ChoicePtr random = make_choice(where::Random{.density = 0.5});
  const Selection whole = choose(*random, asked.call);
  asked.call.q_begin = 896;  // another batch that ends elsewhere
  asked.call.q.len = 104;
  const Selection part = choose(*random, asked.call);
  for (std::size_t head = 0; head < 3; ++head) {
    Pos n = 0;
    for (Pos k_pos = 0; k_pos < 896; k_pos += 128) {
      n += whole.of_head[head]->admits(950, k_pos);
      EXPECT_EQ(whole.of_head[head]->admits(950, k_pos), part.of_head[head]->admits(950, k_pos));
    }
    EXPECT_EQ(n, 3);  // of 8 blocks 4, the own one among them
    EXPECT_TRUE(whole.of_head[head]->admits(950, 950));
  }
}

}  // namespace
}  // namespace saccade
