#pragma once

#include <memory>
#include <vector>

#include "ggml.h"
#include "plugins/llama/backend.h"
#include "plugins/llama/layer_state.h"
#include "plugins/llama/mask_memory.h"
#include "plugins/llama/slot_order.h"
#include "plugins/llama/window_rings.h"
#include "saccade/attend/attend.h"
#include "saccade/base/team.h"
#include "saccade/plan/plan.h"

namespace saccade::llama {

/// Runs attention nodes for one llama.cpp context, one after the other.
class Runner {
 public:
  /// Requires  can_run(node), its tensors in host memory
  /// Errors    as attend
  /// Cost      attend's, and one read of the mask for each graph (MaskMemory)
  Record run(const ggml_tensor& node, std::shared_ptr<const Plan> plan, Team& team);

 private:
  struct Part;
  void run_part(const Part& part, Team& team, Record& record);
  std::vector<WherePtr> choose_all(const Part& part, const AttendCall& call, Team& team, Record& record);
  /// Shows the judge a call that ran under a sliding window, its keys by position.
  std::int64_t show_window(const Part& part, AttendCall call, const RingRun& run, Team& team);

  std::shared_ptr<const Plan> plan_;  ///< of the last call; what is remembered in `states_` is about its choices
  Workspace workspace_;
  std::vector<float> lse_;  // of the call at hand, where a judge wants it
  MaskMemory masks_;
  SlotOrder slot_order_;
  LayerStates states_;
  WindowRings windows_;  ///< told only while a judge wants windows, as is what follows
  OrderedRows ordered_k_, ordered_v_;
};

}  // namespace saccade::llama
