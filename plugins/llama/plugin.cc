#include "plugins/llama/plugin.h"

#include <exception>
#include <memory>
#include <string>

#include "plugins/llama/device.h"
#include "saccade/attend/attend.h"
#include "saccade/plan/plan.h"

namespace saccade::llama {
namespace {

ggml_backend_reg_t decline(const Ggml& ggml, const char* reason) {
  if (ggml.log != nullptr) ggml.log(GGML_LOG_LEVEL_ERROR, "saccade: not used: %s\n", reason);
  return nullptr;
}

}  // namespace

ggml_backend_reg_t open_plugin(const Ggml& ggml, const char* file_or_spec) noexcept {
  try {
    if (const std::string reason = reason_to_decline(ggml); !reason.empty()) return decline(ggml, reason.c_str());
    auto plan = std::make_shared<const Plan>(file_or_spec ? Plan::load(file_or_spec) : Plan::from_spec("dense"));
    check_precision(plan->precision());
    const ggml_backend_reg_t reg = make_reg(ggml);
    if (ggml.log != nullptr) ggml.log(GGML_LOG_LEVEL_INFO, "saccade: attention by plan %s\n", plan->print().c_str());
    set_plan(std::move(plan));
    return reg;
  } catch (const std::exception& error) {
    return decline(ggml, error.what());
  }
}

}  // namespace saccade::llama
