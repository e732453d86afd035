#pragma once

#include <string>
#include <vector>

namespace saccade::kernel {

/// CPU targets that this build holds and this machine can run, best first, e.g. {"AMX", "AVX3", "AVX2", "SSE4",
/// "SSE2"}. "AMX" is the best vectors with the matrix unit (matrix_unit.h); every other target does without that.
std::vector<std::string> supported_targets();

/// Makes every kernel run on this target from now on; "" chooses the best again. For tests and for the user who asks.
/// Process-wide; not while a kernel runs. Errors: Fault::kUser when this machine cannot run it.
void force_target(const std::string& name);

/// The target the kernels run on now.
std::string chosen_target();

/// Is a target forced that does without the matrix unit?
bool matrix_unit_hidden() noexcept;

}  // namespace saccade::kernel
