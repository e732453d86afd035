#pragma once

#include <bit>
#include <cstdint>

namespace saccade {

/// One IEEE half-precision number, from its bits; exact, subnormals, inf and NaN included.
inline float f32_from_f16(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16;
  const std::uint32_t magnitude = bits & 0x7fffU;
  if (magnitude >= 0x7c00U) return std::bit_cast<float>(sign | 0x7f800000U | (magnitude & 0x3ffU) << 13);
  if (magnitude >= 0x0400U) return std::bit_cast<float>(sign | ((magnitude << 13) + 0x38000000U));
  const float subnormal = static_cast<float>(magnitude) * 5.9604644775390625e-8F;  // 2^-24
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(subnormal));
}

namespace detail {

/// The half of the same sign next to `value`: towards zero, or away from it. NaN stays NaN.
inline std::uint16_t f16_next_to(float value, bool away) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16U & 0x8000U, magnitude = bits & 0x7fffffffU;
  if (magnitude > 0x7f800000U) return static_cast<std::uint16_t>(sign | 0x7e00U);
  if (magnitude >= 0x47800000U) {  // 2^16 and more
    return static_cast<std::uint16_t>(sign | (away || magnitude == 0x7f800000U ? 0x7c00U : 0x7bffU));
  }
  std::uint32_t half = (magnitude - 0x38000000U) >> 13U;
  bool exact = (magnitude & 0x1fffU) == 0;
  if (magnitude < 0x38800000U) {  // subnormal: whole steps of 2^-24
    const float steps = std::bit_cast<float>(magnitude) * 0x1p24F;
    half = static_cast<std::uint32_t>(steps);
    exact = static_cast<float>(half) == steps;
  }
  return static_cast<std::uint16_t>(sign | (half + (away && !exact ? 1U : 0U)));
}

}  // namespace detail

/// The largest half-precision number that is at most `value`; NaN for NaN.
inline std::uint16_t f16_at_most(float value) { return detail::f16_next_to(value, value < 0); }

/// The least half-precision number that is at least `value`; NaN for NaN.
inline std::uint16_t f16_at_least(float value) { return detail::f16_next_to(value, value > 0); }

}  // namespace saccade
