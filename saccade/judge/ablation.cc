#include "saccade/judge/ablation.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "saccade/base/random.h"

namespace saccade::judge {

std::vector<HeadPlace> top_heads(const HeadScores& scores, std::size_t n) {
  std::vector<std::size_t> order(scores.values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return scores.values[a] > scores.values[b]; });
  std::vector<HeadPlace> top;
  for (std::size_t i = 0; i < std::min(n, order.size()); ++i) top.push_back(scores.place(order[i]));
  return top;
}

std::vector<HeadPlace> random_heads(const HeadScores& scores, std::size_t n, double below, std::uint64_t seed) {
  std::vector<std::size_t> left;
  for (std::size_t i = 0; i < scores.values.size(); ++i) {
    if (scores.values[i] < below) left.push_back(i);
  }
  Random random(seed);
  for (std::size_t i = 0; i < std::min(n, left.size()); ++i)
    std::swap(left[i],
              left[static_cast<std::size_t>(random.between(static_cast<Pos>(i), static_cast<Pos>(left.size()) - 1))]);
  left.resize(std::min(n, left.size()));
  std::ranges::sort(left);
  std::vector<HeadPlace> heads;
  for (const std::size_t i : left) heads.push_back(scores.place(i));
  return heads;
}

Plan ablated(const Plan& plan, std::span<const HeadPlace> heads, const Spec& edit) {
  Plan masked = plan;
  for (const auto [layer, head] : heads) {
    Plan::Row row{.layers = {{layer, layer + 1}}, .heads = {{head, head + 1}}, .attn = {}, .steer = edit};
    masked = masked.with_row(std::move(row));
  }
  return masked;
}

SpanGaze gaze_at(std::span<const float> row, Range span) {
  const Pos n = span.size(), end = static_cast<Pos>(row.size());
  const auto weight = [&](Pos key) { return static_cast<double>(row[static_cast<std::size_t>(key)]); };
  SpanGaze gaze;
  for (Pos key = span.begin; key < span.end; ++key) gaze.held += weight(key);
  for (const Range side : {Range{0, span.begin}, Range{span.end, end}}) {
    double held = 0;
    for (Pos key = side.begin; key < side.end; ++key) {
      held += weight(key);
      if (key - n >= side.begin) held -= weight(key - n);
      gaze.best_other = std::max(gaze.best_other, held);
    }
  }
  return gaze;
}

double influence(double base_loss, double masked_loss) {
  if (!(base_loss > 0)) return std::numeric_limits<double>::quiet_NaN();
  return (masked_loss - base_loss) / base_loss;
}

}  // namespace saccade::judge
