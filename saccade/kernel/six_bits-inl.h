#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace saccade::kernel {

template <class T>
inline T read(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

/// The eight 6-bit scales and least values of a block of 256 (q4_k, q5_k), which share 12 bytes.
struct SixBits {
  std::uint8_t scale[8], least[8];
};

inline SixBits six_bits(const std::byte* packed) {
  const auto a = read<std::uint32_t>(packed), b = read<std::uint32_t>(packed + 4), c = read<std::uint32_t>(packed + 8);
  constexpr std::uint32_t kSix = 0x3f3f3f3fU, kFour = 0x0f0f0f0fU, kTop = 0x30303030U;
  const std::uint32_t scale[2] = {a & kSix, (c & kFour) | ((a >> 2U) & kTop)};
  const std::uint32_t least[2] = {b & kSix, ((c >> 4U) & kFour) | ((b >> 2U) & kTop)};
  SixBits out;
  std::memcpy(out.scale, scale, sizeof scale);
  std::memcpy(out.least, least, sizeof least);
  return out;
}

}  // namespace saccade::kernel
