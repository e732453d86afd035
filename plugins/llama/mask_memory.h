#pragma once

#include <map>
#include <optional>

#include "saccade/base/team.h"
#include "saccade/base/view.h"

namespace saccade::llama {

/// What the masks of the graph at hand were found to be. One mask serves all layers of a graph, and reading it costs a
/// long prompt's sparse attention a tenth of its time, so that only the lowest layer reads it. Nothing in the op says
/// where a graph begins; but layers run in ascending order, and a mask that was written anew is met by a lower layer
/// first. Besides, where each row ends is looked at every time.
class MaskMemory {
 public:
  /// As saccade::causal_run. `layer` -1 (not known): the mask is read.
  ///
  /// Cost  that of causal_run for the lowest layer of a graph, O(q_len) for the others
  std::optional<Pos> causal_run(int layer, const BiasView& mask, Pos q_len, Pos kv_len, Team& team, Pos most_visible);

 private:
  struct Run {
    int layer = -1;  ///< the highest one so far
    Pos q_len = 0, kv_len = 0, most_visible = 0, p0 = 0;
    std::ptrdiff_t len_stride = 0;
  };
  std::map<const void*, Run> runs_;  ///< by where the mask lies
};

}  // namespace saccade::llama
