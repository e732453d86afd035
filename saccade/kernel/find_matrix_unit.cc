#include "saccade/kernel/find_matrix_unit.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace saccade::kernel {
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

}  // namespace

MatrixUnit find_matrix_unit() noexcept {
  if (!has_bf16_tiles()) return MatrixUnit::kAbsent;
  return ask_for_tiles() ? MatrixUnit::kUsed : MatrixUnit::kRefused;
}

}  // namespace saccade::kernel

#else

namespace saccade::kernel {
MatrixUnit find_matrix_unit() noexcept { return MatrixUnit::kAbsent; }
}  // namespace saccade::kernel

#endif
