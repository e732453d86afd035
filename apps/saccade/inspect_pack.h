#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

namespace saccade::app {

/// How numbers become bytes. Code 0 stands for 0 in all of them.
///   log2       x = 2^((code - 255) / steps); what is below `least` becomes 0. For weights, from 1 down
///   log2(1+x)  x = 2^(code / steps) - 1. For distances
///   linear     x = code / steps. For shares
struct Coding {
  enum class Kind { kLog2, kLog2OfMore, kLinear };
  Kind kind = Kind::kLinear;
  double steps = 255;
  double least = 0;  ///< of kLog2

  /// Accuracy  half a step: of kLog2 a factor of 2^(1 / (2 steps)); numbers too large for the code get the largest
  std::uint8_t code(double x) const;
};

/// Bytes with a shape, as the report holds them: {"shape", "code", "steps", "zlib"}; `zlib` is the array, deflated and
/// in base64.
///
/// Requires  bytes.size() is the product of `shape`
/// Errors    Fault::kMachine when memory runs out
nlohmann::ordered_json packed(std::span<const std::uint8_t> bytes, std::vector<std::int64_t> shape,
                              const Coding& coding);

/// The same of numbers, each coded.
nlohmann::ordered_json packed(std::span<const float> numbers, std::vector<std::int64_t> shape, const Coding& coding);

/// RFC 4648.
std::string base64(std::span<const std::uint8_t> bytes);

}  // namespace saccade::app
