#include "plugins/llama/mask_memory.h"

#include "saccade/attend/given_mask.h"

namespace saccade::llama {
namespace {

constexpr std::size_t kMostMasks = 16;  // a context has one for each stream of its full-attention layers

}  // namespace

std::optional<Pos> MaskMemory::causal_run(int layer, const BiasView& mask, Pos q_len, Pos kv_len, Team& team,
                                          Pos most_visible) {
  const auto known = runs_.find(mask.data);
  if (known != runs_.end()) {
    Run& run = known->second;
    const bool same_graph = run.layer >= 0 && layer > run.layer && run.q_len == q_len && run.kv_len == kv_len &&
                            run.most_visible == most_visible && run.len_stride == mask.len_stride;
    if (same_graph && ends_as_causal_run(mask, q_len, kv_len, run.p0)) {
      run.layer = layer;
      return run.p0;
    }
    runs_.erase(known);
  }
  const std::optional<Pos> p0 = saccade::causal_run(mask, q_len, kv_len, team, most_visible);
  if (!p0) return p0;
  if (runs_.size() == kMostMasks) runs_.clear();
  runs_[mask.data] = {layer, q_len, kv_len, most_visible, *p0, mask.len_stride};
  return p0;
}

}  // namespace saccade::llama
