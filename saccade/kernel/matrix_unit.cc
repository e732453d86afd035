#include "saccade/kernel/matrix_unit.h"

#include <cstdint>

#include "saccade/kernel/targets.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#define SACCADE_AMX 1
#else
#define SACCADE_AMX 0
#endif

namespace saccade::kernel {

#if SACCADE_AMX

namespace {

/// Does the CPU have bf16 tiles of the shape that we use (8 of 16 rows of 64 bytes), and does the system switch them?
bool has_bf16_tiles() noexcept {
  constexpr unsigned kOsXsave = 1U << 27, kAmxBf16 = 1U << 22, kAmxTile = 1U << 24;
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (!__get_cpuid_count(1, 0, &eax, &ebx, &ecx, &edx) || !(ecx & kOsXsave)) return false;
  if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return false;
  if ((edx & (kAmxBf16 | kAmxTile)) != (kAmxBf16 | kAmxTile)) return false;
  unsigned low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  constexpr unsigned kTileState = 3U << 17;  // configuration and data
  if ((low & kTileState) != kTileState) return false;
  if (!__get_cpuid_count(0x1d, 1, &eax, &ebx, &ecx, &edx)) return false;  // palette 1
  return (ebx & 0xffff) == 64 && ebx >> 16 >= 8 && (ecx & 0xffff) >= 16;
}

/// Linux hands out the 8 KiB of tile data only to processes that ask for them.
bool ask_for_tiles() noexcept {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILE_DATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

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

MatrixUnit found() noexcept {
  if (!has_bf16_tiles()) return MatrixUnit::kAbsent;
  return ask_for_tiles() ? MatrixUnit::kUsed : MatrixUnit::kRefused;
}

}  // namespace

MatrixUnit matrix_unit() noexcept {
  static const MatrixUnit unit = found();
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
