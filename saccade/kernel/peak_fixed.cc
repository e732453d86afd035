// Compiled for AVX-512 VNNI alone (see the root CMakeLists.txt); nothing here runs before has_fixed() said yes.

#include "saccade/kernel/peak.h"

#if defined(__AVX512VNNI__)

#include <immintrin.h>

namespace saccade::kernel {

std::uint32_t multiply_add_i16(std::int64_t n_rounds, std::int16_t a, std::int16_t b) noexcept {
  const __m512i left = _mm512_set1_epi16(a), right = _mm512_set1_epi16(b);
  __m512i sum[16];
#pragma clang loop unroll(full)
  for (__m512i& one : sum) one = _mm512_setzero_si512();
  for (std::int64_t round = 0; round < n_rounds; ++round) {
#pragma clang loop unroll(full)
    for (__m512i& one : sum) one = _mm512_dpwssd_epi32(one, left, right);
  }
  __m512i all = _mm512_setzero_si512();
  for (const __m512i& one : sum) all = _mm512_add_epi32(all, one);
  return static_cast<std::uint32_t>(_mm512_reduce_add_epi32(all));
}

}  // namespace saccade::kernel

#else

namespace saccade::kernel {
std::uint32_t multiply_add_i16(std::int64_t, std::int16_t, std::int16_t) noexcept { return 0; }
}  // namespace saccade::kernel

#endif
