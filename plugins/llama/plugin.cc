#include "plugins/llama/plugin.h"

#include <exception>
#include <memory>
#include <string>
#include <string_view>

#include "plugins/llama/device.h"
#include "plugins/llama/placement.h"
#include "plugins/llama/see_file.h"
#include "saccade/attend/attend.h"
#include "saccade/plan/plan.h"

namespace saccade::llama {
namespace {

ggml_backend_reg_t decline(const Ggml& ggml, const char* reason) {
  if (ggml.log != nullptr) ggml.log(GGML_LOG_LEVEL_ERROR, "saccade: not used: %s\n", reason);
  return nullptr;
}

/// Opens the file anew, or none.
void set_see(const Ggml& ggml, const Environment& environment) {
  static std::unique_ptr<SeeFile> file;  // goes with the process, and then writes
  file.reset();
  if (environment.see == nullptr) return;
  const SeeFile::Warn warn = [log = ggml.log](const std::string& line) {
    if (log != nullptr) log(GGML_LOG_LEVEL_ERROR, "saccade: SACCADE_SEE: nothing is looked at: %s\n", line.c_str());
  };
  try {
    const std::string_view probes = environment.probes ? environment.probes : SeeFile::kDefault;
    file = std::make_unique<SeeFile>(environment.see, probes, warn);
    if (ggml.log != nullptr) {
      ggml.log(GGML_LOG_LEVEL_INFO, "saccade: what is looked at goes to %s\n", environment.see);
    }
  } catch (const std::exception& error) {
    warn(error.what());
  }
}

}  // namespace

ggml_backend_reg_t open_plugin(const Ggml& ggml, const Environment& environment) noexcept {
  try {
    if (const std::string reason = reason_to_decline(ggml); !reason.empty()) return decline(ggml, reason.c_str());
    auto plan =
        std::make_shared<const Plan>(environment.plan ? Plan::load(environment.plan) : Plan::from_spec("dense"));
    check_precision(plan->precision());
    const ggml_backend_reg_t reg = make_reg(ggml, ggml_hides_weights(ggml));
    if (ggml.log != nullptr) ggml.log(GGML_LOG_LEVEL_INFO, "saccade: attention by plan %s\n", plan->print().c_str());
    set_plan(std::move(plan));
    set_see(ggml, environment);
    return reg;
  } catch (const std::exception& error) {
    return decline(ggml, error.what());
  }
}

}  // namespace saccade::llama
