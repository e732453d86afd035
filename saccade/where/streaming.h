#pragma once

#include <algorithm>
#include <string>

#include "saccade/base/error.h"
#include "saccade/where/sink.h"
#include "saccade/where/visit.h"
#include "saccade/where/window.h"

namespace saccade::where {

/// The first `n_sink` positions and the newest `window`: what StreamingLLM's cache would still hold. Keys keep the
/// positions they have in the text; StreamingLLM rotates them anew to their place in the cache, and this does not, nor
/// is anything evicted.
/// Source: StreamingLLM, arXiv:2309.17453.
struct Streaming {
  Pos n_sink = 4;
  Pos window = 2000;

  bool admits(Pos q_pos, Pos k_pos) const {
    return Sink{n_sink}.admits(q_pos, k_pos) || Window{window}.admits(q_pos, k_pos);
  }
  void visits(Range q_block, VisitList& out) const {
    VisitList recent;
    Window{window}.visits(q_block, recent);
    Sink{n_sink}.visits(q_block, out);
    out = unite(out, recent);
  }
  Pos q_step() const { return Window{window}.q_step(); }
  void fields(auto& f) {
    f("n_sink", n_sink, "first positions that every query sees");
    f("window", window, "newest keys a query sees, itself included");
  }
  void check() const {
    if (n_sink < 0) fail_user("where/streaming: n_sink must be >= 0, got " + std::to_string(n_sink));
    if (window < 1) fail_user("where/streaming: window must be >= 1, got " + std::to_string(window));
  }
};

}  // namespace saccade::where
