#include "saccade/see/top_keys.h"

#include "tests/laws/see_statistics.h"

namespace saccade::testing {
namespace {

constexpr Pos kKept = 5;

see::TopKeys make_probe() {
  see::TopKeys probe;
  probe.k = kKept;
  probe.per_head = true;
  return probe;
}

TEST(TopKeys, of_a_head_have_the_largest_weights) {
  check_see_law(make_probe, dense_top(kKept),
                [](const see::TopKeys& probe, const Problem& problem) { return weights_by_head(probe, problem.in); });
}

TEST(TopKeys, of_all_heads_have_the_largest_sums) {
  check_look_law(make_probe, dense_top_of_all(kKept),
                 [](const see::TopKeys& probe, const Problem& problem) { return weights_of_all(probe, problem.in); });
}

/// Each listed key has, in the dense map, the weight it is listed with.
TEST(TopKeys, are_where_their_weights_are) {
  const Problem problem({.seed = 5, .q_len = 97, .kv_len = 331, .n_heads = 6, .n_kv_heads = 2});
  see::TopKeys probe = make_probe();
  Probe* const probes[] = {&probe};
  look_at(problem, team_of(2), 64, probes);
  const auto visible = [](Pos, Pos q, Pos k) { return k <= q; };
  const auto at_listed = [&]<class T>(const DenseMap<T>& map) {
    Groups<T> groups{{"all heads", {}, 6.0}, {"head 3", {}}};
    for (Pos i = 0; i < map.q_len; ++i) {
      for (const see::TopKeys::Key& key : probe.row(map.q_pos(i))) {
        T sum = 0;
        for (Pos head = 0; head < map.n_heads; ++head) sum += map.at(head, i, key.position);
        groups[0].values.push_back(sum);
      }
      for (const see::TopKeys::Key& key : probe.row(3, map.q_pos(i))) {
        groups[1].values.push_back(map.at(3, i, key.position));
      }
    }
    return groups;
  };
  Groups<float> actual{weights_of_all(probe, problem.in)[0], weights_by_head(probe, problem.in)[3]};
  const auto plain = [&](Pos order) { return dense_map<float>(problem.in, visible, 0.0F, order); };
  EXPECT_TRUE(judge_statistic(actual, dense_map<double>(problem.in, visible, 0.0F), plain, at_listed));
}

/// A key that is found out about in the first pass has the weight that a second look gives it.
TEST(TopKeys, of_the_first_pass_are_where_their_weights_are) {
  const Problem problem({.seed = 5, .q_len = 97, .kv_len = 331, .n_heads = 6, .n_kv_heads = 2});
  see::TopKeys probe = make_probe();
  RowProbe* const probes[] = {&probe};
  attend_with(problem, team_of(2), 64, probes);
  const auto visible = [](Pos, Pos q, Pos k) { return k <= q; };
  const Groups<float> actual = weights_by_head(probe, problem.in);
  const auto plain = [&](Pos order) { return dense_map<float>(problem.in, visible, 0.0F, order); };
  EXPECT_TRUE(judge_statistic(actual, dense_map<double>(problem.in, visible, 0.0F), plain, dense_at_listed(probe)));
}

TEST(TopKeys, the_earlier_key_comes_first_among_equals_in_the_first_pass) {
  see::TopKeys probe = make_probe();
  RowProbe* const probes[] = {&probe};
  attend_with(Problem({.q_len = 8, .kv_len = 8, .scale = 0.0F}), team_of(2), 8, probes);
  for (Pos n = 0; n < kKept; ++n) {
    EXPECT_EQ(probe.row(0, 7)[static_cast<std::size_t>(n)].position, n);
    EXPECT_EQ(probe.row(1, 2)[static_cast<std::size_t>(n)].position, n < 3 ? n : -1);
  }
}

TEST(TopKeys, of_all_heads_are_refused_in_the_first_pass) {
  see::TopKeys probe;
  RowProbe* const probes[] = {&probe};
  EXPECT_EQ(error_line([&] { attend_with(Problem({.q_len = 8, .kv_len = 8}), team_of(1), 8, probes); }),
            "see/top_keys: the first pass knows the keys of each head only: set per_head");
}

TEST(TopKeys, the_earlier_key_comes_first_among_equals) {
  see::TopKeys probe = make_probe();
  Probe* const probes[] = {&probe};
  look_at(Problem({.q_len = 8, .kv_len = 8, .scale = 0.0F}), team_of(2), 8, probes);
  for (Pos n = 0; n < kKept; ++n) {
    EXPECT_EQ(probe.row(7)[static_cast<std::size_t>(n)].position, n);
    EXPECT_EQ(probe.row(1, 2)[static_cast<std::size_t>(n)].position, n < 3 ? n : -1);
  }
}

}  // namespace
}  // namespace saccade::testing
