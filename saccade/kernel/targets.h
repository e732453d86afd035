#pragma once

#include <string>
#include <vector>

namespace saccade::kernel {

/// CPU targets that this build holds and this machine can run, best first, e.g. {"AVX3", "AVX2", "SSE4", "SSE2"}.
std::vector<std::string> supported_targets();

/// Makes every kernel run on this target from now on; "" chooses the best again. For tests and for the user who asks.
/// Process-wide; not while a kernel runs. Errors: Fault::kUser when this machine cannot run it.
void force_target(const std::string& name);

/// The target the kernels run on now.
std::string chosen_target();

}  // namespace saccade::kernel
