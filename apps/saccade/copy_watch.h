#pragma once

#include <span>
#include <vector>

#include "apps/saccade/engine.h"
#include "saccade/attend/attend.h"
#include "saccade/judge/ablation.h"
#include "saccade/see/head_metrics.h"

namespace saccade::app {

/// Where each head looks most as an answer's tokens are chosen: the last query of each call, all heads of all layers.
///
/// Errors    Fault::kUser when the model's layers cannot be told apart; as saccade::look
/// Cost      one query's second pass over its keys a call, which takes as long as a decode step's attention
class CopyWatch {
 public:
  CopyWatch(int n_layers, int n_heads);

  /// From now on calls are looked at; the first token that is emitted is held against this span.
  void begin(Range needle);
  /// The token that was chosen from the calls since the last one.
  void emitted(Token token);

  std::span<const see::CopyStep> steps(int layer, int head) const { return steps_[index(layer, head)]; }
  /// What the first emitted token's query held of the needle.
  const judge::SpanGaze& first(int layer, int head) const { return first_[index(layer, head)]; }

  /// For llama::set_watcher.
  void look(int layer, const AttendCall& call, const float* lse, Team& team);

 private:
  std::size_t index(int layer, int head) const { return judge::head_index(layer, head, n_heads_); }

  int n_layers_, n_heads_;
  Range needle_;
  bool is_first_ = true;
  Workspace workspace_;
  std::vector<Pos> top_keys_;  // of the newest calls
  std::vector<judge::SpanGaze> gazes_, first_;
  std::vector<std::vector<see::CopyStep>> steps_;
};

}  // namespace saccade::app
