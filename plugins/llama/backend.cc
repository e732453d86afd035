#include "plugins/llama/backend.h"

#include <utility>

#include "plugins/llama/device.h"
#include "plugins/llama/ggml_door.h"
#include "plugins/llama/placement.h"
#include "saccade/base/error.h"

namespace saccade::llama {
namespace {

bool pretend_hidden = false;

bool register_once() {
  const Ggml ggml = find_ggml();
  if (const std::string reason = reason_to_decline(ggml); !reason.empty()) fail_machine("plugins/llama: " + reason);
  ggml.register_backend(make_reg(ggml, pretend_hidden || ggml_hides_weights(ggml)));
  return true;
}

}  // namespace

void use_plan(std::shared_ptr<const Plan> plan) {
  [[maybe_unused]] static const bool registered = register_once();  // an exception leaves it undone
  set_plan(std::move(plan));
}

void pretend_ggml_hides_weights() { pretend_hidden = true; }

}  // namespace saccade::llama
