#pragma once

#include <cstddef>
#include <string>

namespace saccade::kernel {

/// Why the matrix unit (Intel AMX with bf16) is used or not.
enum class MatrixUnit {
  kAbsent,   ///< the CPU or the operating system has none
  kRefused,  ///< it is there, but this process was not allowed to use it
  kHidden,   ///< a lesser target is forced (targets.h)
  kUsed,
};

/// What holds for this process now. The first call asks the operating system for permission, once per process.
MatrixUnit matrix_unit() noexcept;

/// The same in words, for logs: "AMX", or "no AMX: " and why.
std::string matrix_unit_status();

/// Tiles in the shape that the bf16 kernel wants while it lives, on this thread; then what the thread had configured
/// before (ggml configures its threads once and expects to find that again). Tile contents are not kept: nobody may
/// hold any across a call. Does nothing where the matrix unit is not used.
///
/// Cost      one store and two loads of a configuration: take one for an item of work, not for a block of keys
class MatrixSession {
 public:
  MatrixSession() noexcept;
  ~MatrixSession();
  MatrixSession(const MatrixSession&) = delete;
  MatrixSession& operator=(const MatrixSession&) = delete;

 private:
  alignas(64) std::byte before_[64];
  bool used_;
};

}  // namespace saccade::kernel
