#include "saccade/kernel/matrix_unit.h"

#include <cstdint>

#include "saccade/kernel/find_matrix_unit.h"
#include "saccade/kernel/targets.h"

namespace saccade::kernel {

#if defined(__x86_64__) && defined(__linux__)

namespace {

/// As LDTILECFG reads it.
struct alignas(64) Configuration {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(Configuration) == 64);

// Inline assembly with a memory clobber, since g++ 12 believes that its intrinsic reads 8 bytes of the 64 and drops the
// stores of the others. No compiler flag is needed, and no other code of this file can come to hold AMX instructions.
void load_configuration(const void* from) noexcept { asm volatile("ldtilecfg (%0)" : : "r"(from) : "memory"); }
void store_configuration(void* to) noexcept { asm volatile("sttilecfg (%0)" : : "r"(to) : "memory"); }
void release_tiles() noexcept { asm volatile("tilerelease" : : : "memory"); }

}  // namespace

MatrixUnit matrix_unit() noexcept {
  static const MatrixUnit unit = find_matrix_unit();
  return unit == MatrixUnit::kUsed && matrix_unit_hidden() ? MatrixUnit::kHidden : unit;
}

MatrixSession::MatrixSession() noexcept : used_(matrix_unit() == MatrixUnit::kUsed) {
  if (!used_) return;
  static constexpr Configuration kOurs;
  store_configuration(before_);
  load_configuration(&kOurs);
}

MatrixSession::~MatrixSession() {
  if (!used_) return;
  const bool had_none = before_[0] == std::byte{0};  // palette 0
  had_none ? release_tiles() : load_configuration(before_);
}

#else

MatrixUnit matrix_unit() noexcept { return MatrixUnit::kAbsent; }
MatrixSession::MatrixSession() noexcept : used_(false) {}
MatrixSession::~MatrixSession() = default;

#endif

std::string matrix_unit_status() {
  switch (matrix_unit()) {
    case MatrixUnit::kAbsent:
      return "no AMX: this machine has none";
    case MatrixUnit::kRefused:
      return "no AMX: the operating system refused this process its use (arch_prctl)";
    case MatrixUnit::kHidden:
      return "no AMX: target " + chosen_target() + " is forced";
    case MatrixUnit::kUsed:
      return "AMX";
  }
  return "?";
}

}  // namespace saccade::kernel
