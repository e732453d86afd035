#pragma once

#include <cstdint>
#include <string_view>

namespace saccade {

/// In which numbers scores and weighted values are computed; maxima, sums and results are always f32.
enum class Precision : std::uint8_t {
  kAuto,  ///< i16 where the CPU has it and keys and values are stored in fewer than 32 bits, else f32
  kF32,
  kI16,  ///< kernel/fixed.h; an error where the CPU lacks it. What is not worth it or not safe runs f32 all the same:
         ///< few rows, visits that are not full, blocks with NaN or inf, soft caps, biases.
};

constexpr std::string_view name_of(Precision precision) {
  switch (precision) {
    case Precision::kAuto:
      return "auto";
    case Precision::kF32:
      return "f32";
    case Precision::kI16:
      return "i16";
  }
  return "?";
}

}  // namespace saccade
