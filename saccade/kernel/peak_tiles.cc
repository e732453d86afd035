// Inline assembly, since the intrinsics of g++ 12 do not say which memory they touch; needs no compiler flag.

#include "saccade/kernel/matrix_unit.h"
#include "saccade/kernel/peak.h"

namespace saccade::kernel {

#if defined(__x86_64__) && defined(__linux__)

void multiply_tiles(std::int64_t n_rounds, const std::uint32_t* left, const std::uint32_t* right,
                    float* sums) noexcept {
  constexpr std::ptrdiff_t kRowBytes = 64;
  const MatrixSession session;
  asm volatile(
      "tilezero %%tmm0\n\ttilezero %%tmm1\n\ttilezero %%tmm2\n\t"
      "tilezero %%tmm3\n\ttilezero %%tmm4\n\ttilezero %%tmm5\n\t"
      "tileloadd (%0,%2,1), %%tmm6\n\ttileloadd (%1,%2,1), %%tmm7"
      :
      : "r"(left), "r"(right), "r"(kRowBytes)
      : "memory");
  for (std::int64_t round = 0; round < n_rounds; ++round) {
    asm volatile(
        "tdpbf16ps %%tmm7, %%tmm6, %%tmm0\n\ttdpbf16ps %%tmm7, %%tmm6, %%tmm1\n\t"
        "tdpbf16ps %%tmm7, %%tmm6, %%tmm2\n\ttdpbf16ps %%tmm7, %%tmm6, %%tmm3\n\t"
        "tdpbf16ps %%tmm7, %%tmm6, %%tmm4\n\ttdpbf16ps %%tmm7, %%tmm6, %%tmm5"
        :
        :
        : "memory");
  }
  asm volatile(
      "tilestored %%tmm0, (%0,%6,1)\n\ttilestored %%tmm1, (%1,%6,1)\n\ttilestored %%tmm2, (%2,%6,1)\n\t"
      "tilestored %%tmm3, (%3,%6,1)\n\ttilestored %%tmm4, (%4,%6,1)\n\ttilestored %%tmm5, (%5,%6,1)"
      :
      : "r"(sums), "r"(sums + 256), "r"(sums + 512), "r"(sums + 768), "r"(sums + 1024), "r"(sums + 1280), "r"(kRowBytes)
      : "memory");
}

#else

void multiply_tiles(std::int64_t, const std::uint32_t*, const std::uint32_t*, float*) noexcept {}

#endif

}  // namespace saccade::kernel
