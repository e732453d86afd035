#include "plugins/llama/plan_check.h"

#include <algorithm>

#include "saccade/base/error.h"

namespace saccade::llama {

std::string PlanCheck::next(const std::shared_ptr<const Plan>& plan, int layer, int n_heads) {
  if (plan != plan_) *this = {}, plan_ = plan;
  std::string line;
  if (layer >= 0 && layer < last_layer_) line = end();
  last_layer_ = layer;
  n_layers_ = std::max(n_layers_, layer + 1);
  n_heads_ = std::max(n_heads_, n_heads);
  return line;
}

std::string PlanCheck::end() {
  if (done_ || plan_ == nullptr || n_layers_ == 0) return "";
  done_ = true;
  try {
    plan_->check(n_layers_, n_heads_);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace saccade::llama
