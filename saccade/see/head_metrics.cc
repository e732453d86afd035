#include "saccade/see/head_metrics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace saccade::see {

double column_mean(const ColumnSums& columns, int head, Pos key) {
  const Pos n = columns.q_positions().end - std::max(columns.q_positions().begin, key);
  return n <= 0 ? 0.0 : columns.sums().head(head)[static_cast<std::size_t>(key)] / static_cast<double>(n);
}

double sink_rate(std::span<const double> column_means, double threshold) {
  if (column_means.empty()) return 0.0;
  const auto sinks = std::ranges::count_if(column_means, [&](double mean) { return mean > threshold; });
  return static_cast<double>(sinks) / static_cast<double>(column_means.size());
}

double retrieval_score(std::span<const CopyStep> steps, Range needle, std::span<const std::int32_t> tokens) {
  const auto copies = std::ranges::count_if(steps, [&](const CopyStep& step) {
    return step.top_key >= needle.begin && step.top_key < needle.end &&
           tokens[static_cast<std::size_t>(step.top_key)] == step.emitted;
  });
  return static_cast<double>(copies) / static_cast<double>(needle.size());
}

std::vector<Pos> RepeatedText::offsets() const {
  std::vector<Pos> offsets{1};
  for (Pos copy = 1; copy < n_repeats; ++copy) {
    offsets.push_back(copy * period);
    offsets.push_back(copy * period - 1);
  }
  return offsets;
}

RepeatScores repeat_scores(const Diagonals& diagonals, int head, const RepeatedText& text) {
  RepeatScores scores;
  for (Pos q = text.repeated().begin; q < text.repeated().end; ++q) {
    const float* weights = diagonals.values().row(head, q);
    scores.previous_token += static_cast<double>(weights[0]);
    const Pos n_copies = (q - text.begin) / text.period;  // that are complete before this one
    for (Pos copy = 0; copy < n_copies; ++copy) {
      scores.duplicate_token += static_cast<double>(weights[1 + 2 * copy]);
      scores.induction += static_cast<double>(weights[2 + 2 * copy]);
    }
  }
  const auto n = static_cast<double>(std::max<Pos>(1, text.repeated().size()));
  return {scores.previous_token / n, scores.duplicate_token / n, scores.induction / n};
}

double mean_over(const PerRow& values, int head, Range q_positions) {
  double sum = 0.0;
  for (Pos q = q_positions.begin; q < q_positions.end; ++q) sum += static_cast<double>(*values.row(head, q));
  return q_positions.empty() ? 0.0 : sum / static_cast<double>(q_positions.size());
}

double relative_entropy(const Entropy& entropy, int head, Range q_positions) {
  const Range rows{std::max<Pos>(1, q_positions.begin), q_positions.end};
  double sum = 0.0;
  for (Pos q = rows.begin; q < rows.end; ++q) {
    sum += static_cast<double>(*entropy.values().row(head, q)) / std::log(static_cast<double>(q + 1));
  }
  return rows.empty() ? 0.0 : sum / static_cast<double>(rows.size());
}

std::vector<Reach> reach_of_heads(std::span<const double> mean_distances, double share) {
  std::vector<std::size_t> heads(mean_distances.size());
  std::iota(heads.begin(), heads.end(), std::size_t{0});
  std::ranges::stable_sort(heads, {}, [&](std::size_t head) { return mean_distances[head]; });
  const auto n = static_cast<std::size_t>(std::clamp(share, 0.0, 0.5) * static_cast<double>(heads.size()));
  std::vector<Reach> reach(heads.size(), Reach::kMiddle);
  for (std::size_t i = 0; i < n; ++i) {
    reach[heads[i]] = Reach::kLocal;
    reach[heads[heads.size() - 1 - i]] = Reach::kGlobal;
  }
  return reach;
}

std::vector<double> waad(const Distance& distance, std::span<const int> local_heads) {
  const PerRow& clipped = distance.clipped();
  std::vector<double> mean(static_cast<std::size_t>(clipped.q_positions().size()), 0.0);
  for (const int head : local_heads) {
    const auto values = clipped.head(head);
    for (std::size_t i = 0; i < mean.size(); ++i) {
      mean[i] += static_cast<double>(values[i]) / static_cast<double>(local_heads.size());
    }
  }
  return mean;
}

std::vector<double> fai(const BandSums& band, std::span<const int> global_heads, Pos text_len) {
  std::vector<double> mean(static_cast<std::size_t>(text_len), 0.0);
  for (Pos key = 0; key < text_len; ++key) {
    const Pos n = std::min(text_len, key + band.end_distance) - (key + band.begin_distance);
    if (n <= 0) continue;
    double sum = 0.0;
    for (const int head : global_heads) sum += band.sums().head(head)[static_cast<std::size_t>(key)];
    mean[static_cast<std::size_t>(key)] =
        global_heads.empty() ? 0.0 : sum / static_cast<double>(n * static_cast<Pos>(global_heads.size()));
  }
  return mean;
}

}  // namespace saccade::see
