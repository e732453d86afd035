#pragma once

#include <cstdint>
#include <string_view>

namespace saccade {

/// In which numbers scores and weighted values are computed; maxima, sums and results are always f32.
enum class Precision : std::uint8_t {
  kAuto,  ///< where keys and values are stored in fewer than 32 bits, bf16 with a matrix unit, i16 with AVX-512 VNNI;
          ///< else f32
  kF32,
  kI16,   ///< kernel/fixed.h; an error where the CPU lacks it. What is not worth it or not safe runs f32 all the same:
          ///< few rows, visits that are not full, blocks with NaN or inf, soft caps, biases.
  kBf16,  ///< kernel/bf16.h, without a matrix unit emulated (slow); an error where the CPU lacks AVX-512. f32 all the
          ///< same: few rows, blocks and rows with NaN or inf.
};

constexpr std::string_view name_of(Precision precision) {
  switch (precision) {
    case Precision::kAuto:
      return "auto";
    case Precision::kF32:
      return "f32";
    case Precision::kI16:
      return "i16";
    case Precision::kBf16:
      return "bf16";
  }
  return "?";
}

}  // namespace saccade
