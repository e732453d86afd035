#pragma once

#include <concepts>

namespace saccade {

/// What is changed of one query head's attention on its way: first the scores, then the output.
struct HeadEdit {
  bool uniform = false;  ///< every visible key scores 0, whatever bias, slope and sink score say
  float gain = 1.0F;     ///< multiplies the head's output; 0: the output is zero, whatever it was

  bool neutral() const { return !uniform && gain == 1.0F; }
  bool operator==(const HeadEdit&) const = default;
};

/// A mechanism of steer/: a struct with its parameters that says what it edits. One whose edit is neutral, and every
/// head that no edit names, keeps each bit.
template <class M>
concept SteerMechanism = requires(const M& mechanism) {
  { mechanism.edit() } -> std::same_as<HeadEdit>;
};

}  // namespace saccade
