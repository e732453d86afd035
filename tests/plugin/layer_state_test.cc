// What the selectors of a layer keep from call to call.

#include "plugins/llama/layer_state.h"

#include <gtest/gtest.h>

#include <memory>

#include "saccade/where/window.h"

namespace saccade::llama {
namespace {

/// Shows each query its last 50 keys, for `lifetime` more calls.
class Lasting final : public Choice {
 public:
  explicit Lasting(Pos lifetime) : lifetime_(lifetime) {}
  void choose(const SelectCall& call, Selection& out) const override {
    out.of_head.assign(call.heads.size(), make_where(where::Window{50}));
    out.lifetime = lifetime_;
    out.cost.flop = 400;
    ++n_asked;
  }
  mutable int n_asked = 0;

 private:
  Pos lifetime_;
};

struct Asked {
  std::vector<float> numbers = std::vector<float>(std::size_t{1000} * 32);
  std::vector<int> kv_head{0, 0}, heads{0, 1};
  Alone alone;
  /// Queries [begin, begin + q_len).
  SelectCall call(Pos begin, Pos q_len) {
    return {.q = {numbers.data(), DType::f32, q_len, 2, 16, 128, 64},
            .k = {numbers.data(), DType::f32, begin + q_len, 1, 32, 128, 128},
            .kv_head = kv_head,
            .heads = heads,
            .q_begin = begin,
            .team = &alone};
  }
};

TEST(LayerState, AChoiceIsHeldForItsLifetimeWithTheKeysThatCameSince) {
  Asked asked;
  const Lasting choice(3);
  LayerState state;
  EXPECT_GT(state.choose(choice, asked.call(700, 1)).cost.flop, 0);
  for (const Pos q_pos : {701, 702, 703}) {
    const Selection held = state.choose(choice, asked.call(q_pos, 1));
    EXPECT_EQ(held.cost.flop, 0);
    EXPECT_EQ(held.of_head[0], held.of_head[1]) << "heads go on sharing";
    for (Pos k_pos = 600; k_pos < 710; ++k_pos) {
      EXPECT_EQ(held.of_head[0]->admits(q_pos, k_pos), k_pos > 650 && k_pos <= q_pos) << q_pos << ' ' << k_pos;
    }
  }
  EXPECT_EQ(choice.n_asked, 1);
  EXPECT_GT(state.choose(choice, asked.call(704, 1)).cost.flop, 0);
  EXPECT_EQ(choice.n_asked, 2);
}

TEST(LayerState, APromptsChoiceIsHeldForItsAnswer) {
  Asked asked;
  const Lasting choice(8);
  LayerState state;
  state.choose(choice, asked.call(600, 100));
  const Selection held = state.choose(choice, asked.call(700, 1));
  EXPECT_EQ(choice.n_asked, 1);
  EXPECT_TRUE(held.of_head[0]->admits(700, 650));  // as query 699 saw it
  EXPECT_FALSE(held.of_head[0]->admits(700, 649));
}

TEST(LayerState, AnyOtherCallDropsIt) {
  Asked asked;
  const Lasting choice(100), other(100);
  LayerState state;
  const auto is_chosen_anew = [&](Pos begin, Pos q_len) {
    const int before = choice.n_asked;
    state.choose(choice, asked.call(begin, q_len));
    return choice.n_asked > before;
  };
  EXPECT_TRUE(is_chosen_anew(700, 1));
  EXPECT_FALSE(is_chosen_anew(701, 1));
  EXPECT_TRUE(is_chosen_anew(701, 1)) << "the same position again";
  EXPECT_TRUE(is_chosen_anew(703, 1)) << "one was left out";
  EXPECT_TRUE(is_chosen_anew(704, 2)) << "several queries";
  EXPECT_FALSE(is_chosen_anew(706, 1));
  EXPECT_TRUE(is_chosen_anew(0, 1)) << "another prompt";
  state.choose(other, asked.call(1, 1));
  EXPECT_EQ(other.n_asked, 1) << "each choice has its own";
  EXPECT_FALSE(is_chosen_anew(1, 1));
  asked.heads = {0};
  EXPECT_TRUE(is_chosen_anew(2, 1)) << "other heads";
}

TEST(LayerState, WithoutALifetimeEveryCallChooses) {
  Asked asked;
  const Lasting choice(0);
  LayerState state;
  for (Pos q_pos = 700; q_pos < 705; ++q_pos) state.choose(choice, asked.call(q_pos, 1));
  EXPECT_EQ(choice.n_asked, 5);
}

TEST(LayerStates, AreFewHoweverOftenTheCachesMove) {
  LayerStates states;
  std::vector<int> caches(1000);
  for (std::size_t i = 0; i < caches.size(); ++i) states.at(&caches[i], {static_cast<int>(i % 3), 0, 0});
  EXPECT_EQ(states.size(), 12U);
  const LayerState* const known = &states.at(&caches[999], {0, 0, 0});
  EXPECT_EQ(&states.at(&caches[999], {0, 0, 0}), known);
  for (int i = 0; i < 11; ++i) {  // the one in use stays, the others make room
    states.at(&caches[static_cast<std::size_t>(i)], {0, 0, 0});
    EXPECT_EQ(&states.at(&caches[999], {0, 0, 0}), known);
  }
  states.clear();
  EXPECT_EQ(states.size(), 0U);
}

}  // namespace
}  // namespace saccade::llama
