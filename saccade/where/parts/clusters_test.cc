#include "saccade/where/parts/clusters.h"

#include "tests/laws/where_laws.h"

namespace saccade {
namespace {

using List = std::vector<std::int32_t>;

/// Labels from -1 (nobody's) on, in runs of about `run`.
List draw(Pos n, std::int32_t n_clusters, Pos run, Random& random) {
  List labels;
  std::int32_t label = 0;
  for (Pos i = 0; i < n; ++i) {
    if (random.one_in(run)) label = static_cast<std::int32_t>(random.between(-1, n_clusters - 1));
    labels.push_back(label);
  }
  return labels;
}

TEST(Clusters, ObeyTheLawsOfWhere) {
  Random random(9);
  std::uint64_t seed = 400;
  for (const std::int32_t n_clusters : {1, 3, 40}) {
    for (const Pos run : {1, 50}) {
      for (const Pos q_begin : {0, 700}) {
        const Clusters where(q_begin, draw(2000, n_clusters, run, random),
                             draw(q_begin + 2000, n_clusters, run, random));
        EXPECT_TRUE(testing::where_laws_hold(where, seed++)) << n_clusters << " clusters, runs of " << run;
      }
    }
  }
  EXPECT_TRUE(testing::where_laws_hold(Clusters(0, {}, {}), seed++));
  EXPECT_TRUE(testing::where_laws_hold(Clusters(0, {5, 5, 1}, {-1, 0, 0}), seed++));  // clusters without keys
}

TEST(Clusters, WorkedByHand) {
  // Keys 0 to 7 in clusters a b a a b - a b; queries 4 to 7 in a a b a.
  const Clusters where(4, {0, 0, 1, 0}, {0, 1, 0, 0, 1, -1, 0, 1});
  VisitList visits;
  where.visits({4, 6}, visits);
  EXPECT_EQ(visits, (VisitList{{{0, 1}, true}, {{2, 4}, true}}));
  where.visits({4, 8}, visits);  // both clusters, nobody's key left out
  EXPECT_EQ(visits, (VisitList{{{0, 5}, false}, {{6, 8}, false}}));
  EXPECT_TRUE(where.admits(7, 6));
  EXPECT_FALSE(where.admits(5, 6));
  EXPECT_FALSE(where.admits(6, 6));
  EXPECT_FALSE(where.admits(3, 0));
}

TEST(Clusters, GroupingIsAStableSort) {
  const Grouped grouped = group(List{2, 0, 2, 1, 0}, 4);
  EXPECT_EQ(grouped.order, (List{1, 4, 3, 0, 2}));
  EXPECT_EQ(grouped.begin, (List{0, 2, 3, 5, 5}));
  EXPECT_TRUE(grouped.of(3).empty());
}

}  // namespace
}  // namespace saccade
