#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "saccade/base/half.h"
#include "saccade/base/view.h"

namespace saccade::python {

/// To the nearest bf16, ties to even; NaN stays NaN. No branch, so that loops over it become vectors.
inline std::uint16_t bf16_nearest(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = (bits + 0x7fffU + (bits >> 16U & 1U)) >> 16U;
  const std::uint32_t nan = bits >> 16U | 0x40U;
  return static_cast<std::uint16_t>((bits & 0x7fffffffU) > 0x7f800000U ? nan : rounded);
}

/// To the nearest f16, ties to even, too large becomes inf; NaN stays NaN. No branch either.
inline std::uint16_t f16_nearest(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16U & 0x8000U, magnitude = bits & 0x7fffffffU;
  const std::uint32_t normal = (magnitude + 0xfffU + (magnitude >> 13U & 1U) - 0x38000000U) >> 13U;
  // Beside 0.5 a float's last bit is 2^-24, the step of f16's subnormals: the adder rounds for us.
  const std::uint32_t subnormal = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) - 0x3f000000U;
  const std::uint32_t finite = magnitude < 0x38800000U ? subnormal : normal;
  const std::uint32_t large = magnitude > 0x7f800000U ? 0x7e00U : 0x7c00U;
  return static_cast<std::uint16_t>(sign | (magnitude >= 0x477ff000U ? large : finite));
}

/// One number of a 16 or 32-bit dtype.
inline float read_float(DType dtype, const std::byte* at) {
  if (dtype == DType::f32) {
    float value;
    std::memcpy(&value, at, sizeof(value));
    return value;
  }
  std::uint16_t bits;
  std::memcpy(&bits, at, sizeof(bits));
  return dtype == DType::f16 ? f32_from_f16(bits) : std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
}

/// n numbers, rounded once to f16 or bf16.
inline void round_row(const float* from, Pos n, DType dtype, std::byte* to) {
  auto* const out = reinterpret_cast<std::uint16_t*>(to);
  if (dtype == DType::f16) {
    for (Pos i = 0; i < n; ++i) out[i] = f16_nearest(from[i]);
  } else {
    for (Pos i = 0; i < n; ++i) out[i] = bf16_nearest(from[i]);
  }
}

}  // namespace saccade::python
