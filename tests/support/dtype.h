#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "saccade/base/view.h"

// The storage types, written from their definitions and sharing nothing with kernel/.
namespace saccade::testing {

/// sign * mantissa * 2^exponent, read off the three fields.
inline float decode_f16(std::uint16_t bits) {
  const int exponent = (bits >> 10U) & 0x1F;
  const int mantissa = bits & 0x3FF;
  float size = 0.0F;
  if (exponent == 31) {
    size = mantissa == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == 0) {
    size = std::ldexp(static_cast<float>(mantissa), -24);
  } else {
    size = std::ldexp(static_cast<float>(1024 + mantissa), exponent - 25);
  }
  return std::copysign(size, (bits & 0x8000U) != 0 ? -1.0F : 1.0F);
}

/// To the nearest f16, ties to even; too large becomes infinity.
inline std::uint16_t encode_f16(float value) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000U : 0U;
  const float size = std::fabs(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>(sign | 0x7E00U);
  if (size >= 65520.0F) return static_cast<std::uint16_t>(sign | 0x7C00U);
  if (size < 0x1p-14F) {  // subnormal: whole steps of 2^-24; 1024 of them carry into the smallest normal number
    return static_cast<std::uint16_t>(sign | static_cast<std::uint16_t>(std::nearbyint(size * 0x1p24F)));
  }
  int exponent = 0;
  const float fraction = std::frexp(size, &exponent);                                     // in [0.5, 1)
  const int mantissa = static_cast<int>(std::nearbyint(std::ldexp(fraction, 11)));        // in [1024, 2048]
  return static_cast<std::uint16_t>(sign | (((exponent + 14) << 10) + mantissa - 1024));  // 2048 carries
}

inline float decode_bf16(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U); }

/// To the nearest bf16, ties to even.
inline std::uint16_t encode_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>((bits >> 16U) | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16U) & 1U)) >> 16U);
}

namespace detail {

/// The element of a block that is farthest from zero; NaN when any of them is not finite.
inline float farthest(std::span<const float> block) {
  float far = 0.0F;
  for (const float x : block) {
    if (!std::isfinite(x)) return std::numeric_limits<float>::quiet_NaN();
    if (std::fabs(x) > std::fabs(far)) far = x;
  }
  return far;
}

/// x in whole steps; what cannot be divided becomes `otherwise`.
inline int steps(float x, float step, int otherwise) {
  return std::isnan(step) || step == 0.0F ? otherwise : static_cast<int>(std::nearbyint(x / step));
}

}  // namespace detail

/// Writes `values` to `out` in the given type: row_bytes(dtype, values.size()) bytes. A block of q8_0 or q4_0 that
/// holds anything not finite becomes NaN as a whole.
inline void encode(DType dtype, std::span<const float> values, std::byte* out) {
  const auto put = [&out](const auto& item) {
    std::memcpy(out, &item, sizeof(item));
    out += sizeof(item);
  };
  for (std::size_t base = 0; dtype == DType::q8_0 && base < values.size(); base += 32) {
    const auto block = values.subspan(base, 32);
    const float step = std::fabs(detail::farthest(block)) / 127.0F;
    put(encode_f16(step));
    for (const float x : block) put(static_cast<std::int8_t>(detail::steps(x, step, 0)));
  }
  for (std::size_t base = 0; dtype == DType::q4_0 && base < values.size(); base += 32) {
    const auto block = values.subspan(base, 32);
    const float step = detail::farthest(block) / -8.0F;  // steps from -8 to 7: the farthest is -8 of them
    put(encode_f16(step));
    const auto four_bits = [&](std::size_t c) { return std::min(15, detail::steps(block[c], step, 0) + 8); };
    for (std::size_t c = 0; c < 16; ++c) put(static_cast<std::uint8_t>(four_bits(c) | four_bits(c + 16) << 4));
  }
  for (const float x : values) {
    if (dtype == DType::f32) put(x);
    if (dtype == DType::f16) put(encode_f16(x));
    if (dtype == DType::bf16) put(encode_bf16(x));
  }
}

/// Reads `dim` values of the given type; exact.
inline std::vector<float> decode(DType dtype, const std::byte* in, Pos dim) {
  std::vector<float> values;
  const auto get = [&in](auto item) {
    std::memcpy(&item, in, sizeof(item));
    in += sizeof(item);
    return item;
  };
  float step = 0.0F;
  std::uint8_t pairs[16] = {};
  for (Pos c = 0; c < dim; ++c) {
    if (dtype == DType::f32) values.push_back(get(float{}));
    if (dtype == DType::f16) values.push_back(decode_f16(get(std::uint16_t{})));
    if (dtype == DType::bf16) values.push_back(decode_bf16(get(std::uint16_t{})));
    if (dtype == DType::q8_0) {
      if (c % 32 == 0) step = decode_f16(get(std::uint16_t{}));
      values.push_back(step * static_cast<float>(get(std::int8_t{})));
    }
    if (dtype == DType::q4_0) {
      if (c % 32 == 0) {
        step = decode_f16(get(std::uint16_t{}));
        for (std::uint8_t& pair : pairs) pair = get(std::uint8_t{});
      }
      const int bits = c % 32 < 16 ? pairs[c % 16] % 16 : pairs[c % 16] / 16;
      values.push_back(step * static_cast<float>(bits - 8));
    }
  }
  return values;
}

}  // namespace saccade::testing
