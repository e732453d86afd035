#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "saccade/base/view.h"

namespace saccade::judge {

/// One element of a hidden state that dwarfs the others.
struct MassiveActivation {
  int layer = 0;
  Pos position = 0, dim = 0;
  float value = 0.0F;
};

/// What Sun et al. call massive: larger than 100, and than 1,000 times the median of the hidden state, both in size.
inline constexpr double kMassive = 100, kMassiveOfMedian = 1000;

/// The massive elements of a layer's hidden state, by position and dimension; what is not a number is none. The median
/// is of all its tokens together; of more than 64 it is taken of at most 64 of them, evenly spread.
///
/// Shapes    hidden [n_tokens, n_embd]; `first`: position of the first token
/// Cost      one walk along it, and a median only where something is larger than 100
/// Source    Massive Activations, Sun et al. 2024, arXiv:2402.17762, section 2.1
std::vector<MassiveActivation> massive_activations(std::span<const float> hidden, Pos n_tokens, int layer, Pos first);

}  // namespace saccade::judge
