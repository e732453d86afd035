#include "saccade/attend/look.h"

#include "saccade/see/column_sums.h"
#include "saccade/see/entropy.h"
#include "tests/laws/see_laws.h"

// The laws of look() stand beside the probes, saccade/see/*_test.cc; here are its door and its corners.
namespace saccade::testing {
namespace {

TEST(Look, wants_the_lse_that_attention_saved) {
  const Problem problem({.q_len = 3, .kv_len = 3});
  Output out = problem.output();
  std::vector<const Where*> where;
  const AttendCall call = problem.call(out, where);
  EXPECT_EQ(error_line([&] { look(call, nullptr, {}, team_of(1), used_workspace()); }),
            "attend/look: lse must be what attend saved, got none");
}

TEST(Look, of_no_keys_shows_nothing) {
  see::Entropy entropy;
  see::ColumnSums columns;
  Probe* const probes[] = {&entropy, &columns};
  look_at(Problem({.q_len = 4, .kv_len = 0, .q_begin = 0}), team_of(2), 4, probes);
  EXPECT_EQ(columns.sums().kv_len(), 0);
  for (const float value : entropy.values().head(0)) EXPECT_EQ(value, 0.0F);
}

/// NaN in keys that nobody sees changes no bit of what the probes keep.
TEST(Look, does_not_read_what_is_hidden) {
  const Problem clean(
      {.seed = 9, .q_len = 70, .kv_len = 200, .where_name = "window(20)", .where = {make_where(where::Window{20})}});
  Problem poisoned(clean.c);
  const std::vector<float> nan(static_cast<std::size_t>(clean.c.head_dim), std::numeric_limits<float>::quiet_NaN());
  for (Pos j = 0; j < 200 - 70 - 20; ++j) poisoned.k.set(j, 0, nan);
  const auto kept = [](const Problem& problem) {
    see::Entropy entropy;
    see::ColumnSums columns;
    Probe* const probes[] = {&entropy, &columns};
    look_at(problem, team_of(2), 70, probes);
    Groups<float> groups = groups_of(entropy.values());
    for (auto& group : groups_of(columns.sums())) groups.push_back(std::move(group));
    return groups;
  };
  const Groups<float> a = kept(clean), b = kept(poisoned);
  for (std::size_t g = 0; g < a.size(); ++g) EXPECT_EQ(a[g].values, b[g].values);
}

}  // namespace
}  // namespace saccade::testing
