#pragma once

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "saccade/base/view.h"

namespace saccade {

/// Numbers that are the same on every machine for the same seed (splitmix64).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15U;
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31U);
  }
  /// In [low, high], both ends in.
  Pos between(Pos low, Pos high) { return low + static_cast<Pos>(next() % static_cast<std::uint64_t>(high - low + 1)); }
  bool one_in(Pos n) { return between(1, n) == 1; }
  /// In [0, 1).
  double uniform() { return static_cast<double>(next() >> 11U) * 0x1p-53; }
  /// Mean 0, variance 1, bell-shaped (the sum of four uniforms), never beyond +-3.5.
  float normal() {
    const std::uint64_t bits = next();
    std::uint64_t sum = 0;
    for (unsigned part = 0; part < 64; part += 16) sum += (bits >> part) & 0xFFFFU;
    return (static_cast<float>(sum) / 65535.0F - 2.0F) * 1.7320508F;
  }
  template <class T>
  T pick(std::initializer_list<T> choices) {
    return choices.begin()[between(0, static_cast<Pos>(choices.size()) - 1)];
  }
  template <class T>
  const T& pick(const std::vector<T>& choices) {
    return choices[static_cast<std::size_t>(between(0, static_cast<Pos>(choices.size()) - 1))];
  }

 private:
  std::uint64_t state_;
};

}  // namespace saccade
