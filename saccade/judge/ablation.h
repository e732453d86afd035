#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "saccade/base/view.h"
#include "saccade/plan/plan.h"

// Heads taken away, and what is lost without them: what proves a claim about a head.
namespace saccade::judge {

struct HeadPlace {
  int layer = 0, head = 0;
  bool operator==(const HeadPlace&) const = default;
};

/// Of a head, in an array of all heads: [n_layers, n_heads].
inline std::size_t head_index(int layer, int head, int n_heads) {
  return static_cast<std::size_t>(layer) * static_cast<std::size_t>(n_heads) + static_cast<std::size_t>(head);
}

/// One number for each head of a model: [n_layers, n_heads].
struct HeadScores {
  int n_layers = 0, n_heads = 0;
  std::vector<double> values;

  HeadScores(int layers, int heads)
      : n_layers(layers), n_heads(heads), values(static_cast<std::size_t>(layers) * static_cast<std::size_t>(heads)) {}
  double& at(int layer, int head) { return values[head_index(layer, head, n_heads)]; }
  double at(int layer, int head) const { return values[head_index(layer, head, n_heads)]; }
  HeadPlace place(std::size_t i) const { return {static_cast<int>(i) / n_heads, static_cast<int>(i) % n_heads}; }
};

/// The n heads of the highest scores, highest first; the earlier head first among equals. All of them if there are
/// fewer.
std::vector<HeadPlace> top_heads(const HeadScores& scores, std::size_t n);

/// n heads drawn at random from those whose score is below `below`, in the model's order; all of these if they are
/// fewer. The same for the same seed on every machine.
std::vector<HeadPlace> random_heads(const HeadScores& scores, std::size_t n, double below, std::uint64_t seed = 1);

/// The plan with these heads edited (Plan::Row::steer), everything else as it was.
/// Errors    Fault::kUser when `edit` is no edit
/// Source    uniform: Wu et al. 2024, arXiv:2404.15574, section 4; docs/decisions/0016-masked-heads.md
Plan ablated(const Plan& plan, std::span<const HeadPlace> heads, const Spec& edit);

/// The score from which on Wu et al. call a head a retrieval head.
inline constexpr double kRetrievalHead = 0.1;

/// Of one row of weights: what a span of keys holds, and the most that any other span of its length holds which does
/// not overlap it, the first tokens included, sinks though they are.
struct SpanGaze {
  double held = 0, best_other = 0;
  bool is_most_looked_at() const { return held > best_other; }
};
/// Requires  a span inside the row
/// Cost      one walk along the row
SpanGaze gaze_at(std::span<const float> row, Range span);

/// How much a model's loss on a document grows when its retrieval heads are masked: what the document asks of them.
///   (masked - base) / base; 0 where nothing is masked
/// Documents are compared with others of their own domain.
///
/// Units     mean negative log-likelihood a token, in nats, of the same tokens
/// Requires  base > 0; else NaN
/// Source    AttentionInfluence, Hua et al. 2025, arXiv:2505.07293, section 3.2
double influence(double base_loss, double masked_loss);

}  // namespace saccade::judge
