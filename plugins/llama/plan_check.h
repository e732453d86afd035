#pragma once

#include <memory>
#include <string>

#include "saccade/plan/plan.h"

namespace saccade::llama {

/// Was a plan written for the model that runs? Attention nodes show one layer each, so that the model's size is known
/// when the first layer comes round again (or at the end), and only as far as its attention comes to us.
class PlanCheck {
 public:
  /// A node is about to run. Returns one line, once for each plan, when the plan names a layer or a head that the model
  /// does not have; else nothing.
  std::string next(const std::shared_ptr<const Plan>& plan, int layer, int n_heads);
  /// No node follows. As `next`.
  std::string end();

 private:
  std::shared_ptr<const Plan> plan_;
  bool done_ = false;
  int last_layer_ = -1, n_layers_ = 0, n_heads_ = 0;
};

}  // namespace saccade::llama
