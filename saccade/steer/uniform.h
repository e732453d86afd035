#pragma once

#include "saccade/steer/edit.h"

namespace saccade::steer {

/// A head that no longer chooses: every key it may see weighs the same.
///   score' = 0, after bias and soft cap and before the mask;  o' = the mean of the visible values, lse' = ln(their
///   number)
/// Its output is not silent but says nothing of the query. What the pattern hides stays hidden; a sink score is left
/// out.
///
/// Cost      none
/// Source    Wu et al. 2024, arXiv:2404.15574 (a query of zeros); Hua et al. 2025, arXiv:2505.07293
struct Uniform {
  HeadEdit edit() const { return {.uniform = true, .gain = 1.0F}; }
  void fields(auto&) {}
};

}  // namespace saccade::steer
