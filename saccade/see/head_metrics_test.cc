#include "saccade/see/head_metrics.h"

#include "tests/laws/see_laws.h"

// The checks of the methods' cards, on maps that are written down by hand.
namespace saccade::testing {
namespace {

using see::CopyStep;

/// A causal map of one head: weight(query, key).
DenseMap<float> causal_map(Pos n, const auto& weight) {
  DenseMap<float> map{0, n, n, 1, std::vector<float>(static_cast<std::size_t>(n * n), 0.0F)};
  for (Pos i = 0; i < n; ++i) {
    for (Pos j = 0; j <= i; ++j) map.weights[static_cast<std::size_t>(i * n + j)] = static_cast<float>(weight(i, j));
  }
  return map;
}
DenseMap<float> even_map(Pos n) {
  return causal_map(n, [](Pos i, Pos) { return 1.0 / static_cast<double>(i + 1); });
}

TEST(HeadMetrics, column_means_of_even_weights_are_harmonic) {
  see::ColumnSums columns;
  show_map(even_map(4), columns);
  EXPECT_FLOAT_EQ(static_cast<float>(see::column_mean(columns, 0, 0)), (1 + 1.0F / 2 + 1.0F / 3 + 1.0F / 4) / 4);
  EXPECT_FLOAT_EQ(static_cast<float>(see::column_mean(columns, 0, 2)), (1.0F / 3 + 1.0F / 4) / 2);
}

TEST(HeadMetrics, a_key_that_has_it_all_is_a_sink) {
  see::ColumnSums columns;
  show_map(causal_map(200, [](Pos, Pos j) { return j == 0 ? 1.0 : 0.0; }), columns);
  EXPECT_EQ(see::column_mean(columns, 0, 0), 1.0);
  for (Pos key = 1; key < 200; ++key) EXPECT_EQ(see::column_mean(columns, 0, key), 0.0);
  EXPECT_EQ(see::sink_rate(std::vector{1.0, 0.3, 0.31, 0.0}), 0.5);
  EXPECT_EQ(see::sink_rate({}), 0.0);
}

TEST(HeadMetrics, a_retrieval_head_copies_the_needle) {
  const std::vector<std::int32_t> tokens{9, 9, 5, 6, 7, 9};
  const Range needle{2, 5};
  EXPECT_EQ(see::retrieval_score(std::vector<CopyStep>{{2, 5}, {3, 6}, {4, 7}}, needle, tokens), 1.0);
  EXPECT_EQ(see::retrieval_score(std::vector<CopyStep>{{2, 8}, {3, 8}, {4, 8}}, needle, tokens), 0.0) << "other words";
  EXPECT_EQ(see::retrieval_score(std::vector<CopyStep>{{3, 5}, {4, 6}, {5, 7}}, needle, tokens), 0.0) << "one key off";
  EXPECT_EQ(see::retrieval_score(std::vector<CopyStep>{{1, 9}, {-1, 5}}, needle, tokens), 0.0) << "outside the needle";
}

TEST(HeadMetrics, stripes_of_repeated_text_score_one) {
  const see::RepeatedText text{.begin = 3, .period = 25, .n_repeats = 3};
  const auto scores_of = [&](const auto& weight) {
    see::Diagonals diagonals;
    diagonals.offsets = text.offsets();
    show_map(causal_map(text.repeated().end, weight), diagonals);
    return see::repeat_scores(diagonals, 0, text);
  };
  EXPECT_EQ(scores_of([](Pos i, Pos j) { return j == i - 24 ? 1.0 : 0.0; }).induction, 1.0);
  EXPECT_EQ(scores_of([](Pos i, Pos j) { return j == i - 24 ? 1.0 : 0.0; }).previous_token, 0.0);
  EXPECT_EQ(scores_of([](Pos i, Pos j) { return j == i - 25 ? 1.0 : 0.0; }).duplicate_token, 1.0);
  EXPECT_EQ(scores_of([](Pos i, Pos j) { return j == i - 1 ? 1.0 : 0.0; }).previous_token, 1.0);
  // In the third copy both earlier ones count.
  EXPECT_EQ(scores_of([](Pos i, Pos j) { return j == i - 49 ? 1.0 : 0.0; }).induction, 0.5);
}

TEST(HeadMetrics, entropy_is_a_share_of_the_most_there_can_be) {
  see::Entropy even;
  show_map(even_map(100), even);
  EXPECT_FLOAT_EQ(static_cast<float>(see::relative_entropy(even, 0, {0, 100})), 1.0F);
  see::Entropy one;
  show_map(causal_map(100, [](Pos i, Pos j) { return j == i ? 1.0 : 0.0; }), one);
  EXPECT_EQ(see::relative_entropy(one, 0, {0, 100}), 0.0);
  EXPECT_EQ(see::mean_over(one.values(), 0, {50, 50}), 0.0);
}

TEST(HeadMetrics, the_shortest_and_the_longest_reach) {
  const std::vector<double> distances{5, 100, 1, 50, 3, 70, 2, 80, 4, 60};
  const auto reach = see::reach_of_heads(distances);
  for (const std::size_t head : {2U, 6U, 4U}) EXPECT_EQ(reach[head], see::Reach::kLocal);
  for (const std::size_t head : {1U, 7U, 5U}) EXPECT_EQ(reach[head], see::Reach::kGlobal);
  EXPECT_EQ(std::ranges::count(reach, see::Reach::kMiddle), 4);
}

TEST(HeadMetrics, waad_of_a_previous_token_head_is_one) {
  see::Distance distance;
  show_map(causal_map(80, [](Pos i, Pos j) { return j == std::max<Pos>(0, i - 1) ? 1.0 : 0.0; }), distance);
  const std::vector<double> waad = see::waad(distance, std::vector{0});
  EXPECT_EQ(waad[0], 0.0);
  for (std::size_t q = 1; q < 80; ++q) EXPECT_EQ(waad[q], 1.0);
}

TEST(HeadMetrics, waad_of_even_weights_is_the_mean_of_clipped_distances) {
  see::Distance distance;
  show_map(even_map(80), distance);
  const std::vector<double> waad = see::waad(distance, std::vector{0});
  for (Pos q = 0; q < 80; ++q) {
    double mean = 0.0;
    for (Pos key = 0; key <= q; ++key)
      mean += static_cast<double>(std::min<Pos>(q - key, 10)) / static_cast<double>(q + 1);
    EXPECT_FLOAT_EQ(static_cast<float>(waad[static_cast<std::size_t>(q)]), static_cast<float>(mean));
  }
}

TEST(HeadMetrics, fai_of_a_column_that_is_constant_in_the_band) {
  see::BandSums band;
  show_map(causal_map(200, [](Pos i, Pos j) { return j == 70 && i >= 80 && i <= 120 ? 0.25 : 0.0; }), band);
  const std::vector<double> fai = see::fai(band, std::vector{0}, 200);
  EXPECT_EQ(fai[70], 0.25);
  EXPECT_EQ(fai[69], 0.0);
  EXPECT_EQ(fai[195], 0.0) << "the text ends before the band begins";
}

}  // namespace
}  // namespace saccade::testing
