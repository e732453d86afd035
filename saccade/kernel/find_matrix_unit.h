#pragma once

#include "saccade/kernel/matrix_unit.h"

namespace saccade::kernel {

/// Looks whether the CPU has a matrix unit and asks the operating system for it: kAbsent, kRefused or kUsed. In a file
/// of its own, so that a test can link another machine in its place (tests/trapped_amx).
MatrixUnit find_matrix_unit() noexcept;

}  // namespace saccade::kernel
