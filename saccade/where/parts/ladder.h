#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "saccade/where/parts/selection.h"

namespace saccade {

/// The shares of the estimated weight that selectors offer when `within` says how strong each head's is. What is
/// estimated is not what is; steps are finer where heads that look widely end.
inline constexpr double kLadder[] = {0.3, 0.6, 0.8, 0.9, 0.95, 0.98, 0.995};

/// Appends n selections of n_heads patterns each, to be filled in.
inline std::span<Selection> add_rungs(std::size_t n, std::size_t n_heads, std::vector<Selection>& to) {
  to.resize(to.size() + n);
  const std::span rungs = std::span(to).last(n);
  for (Selection& rung : rungs) rung.of_head.resize(n_heads);
  return rungs;
}

}  // namespace saccade
