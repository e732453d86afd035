#include "apps/saccade/copy_watch.h"

#include <algorithm>

#include "saccade/attend/look.h"
#include "saccade/base/error.h"
#include "saccade/see/rows.h"

namespace saccade::app {

CopyWatch::CopyWatch(int n_layers, int n_heads) : n_layers_(n_layers), n_heads_(n_heads) {
  const auto n = static_cast<std::size_t>(n_layers) * static_cast<std::size_t>(n_heads);
  top_keys_.resize(n);
  gazes_.resize(n);
  first_.resize(n);
  steps_.resize(n);
}

void CopyWatch::begin(Range needle) {
  needle_ = needle;
  is_first_ = true;
  std::ranges::fill(top_keys_, -1);
  std::ranges::fill(gazes_, judge::SpanGaze{});
  for (auto& steps : steps_) steps.clear();
}

void CopyWatch::emitted(Token token) {
  if (is_first_) first_ = gazes_;
  is_first_ = false;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    steps_[i].push_back({top_keys_[i], token});
    top_keys_[i] = -1;
  }
}

void CopyWatch::look(int layer, const AttendCall& call, const float* lse, Team& team) {
  if (layer < 0 || layer >= n_layers_)
    fail_user("inspect: this model's attention does not say which layer it belongs to");
  if (call.q.len == 0) return;
  AttendCall last = call;
  last.q.data = call.q.row(call.q.len - 1, 0);
  last.q.len = last.o.len = 1;
  last.q_begin = call.q_begin + call.q.len - 1;
  see::Rows rows;
  rows.queries = {last.q_begin};
  Probe* const probes[] = {&rows};
  saccade::look(last, lse + (call.q.len - 1) * call.q.n_heads, probes, team, workspace_);
  for (int head = 0; head < n_heads_; ++head) {
    const auto row = rows.row(head, last.q_begin);
    if (row.empty()) continue;
    top_keys_[index(layer, head)] = std::ranges::max_element(row) - row.begin();
    const bool holds_needle = needle_.end <= static_cast<Pos>(row.size());
    if (is_first_ && holds_needle) gazes_[index(layer, head)] = judge::gaze_at(row, needle_);
  }
}

}  // namespace saccade::app
