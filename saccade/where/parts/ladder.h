#pragma once

namespace saccade {

/// The shares of the estimated weight that selectors offer when `within` says how strong each head's is. What is
/// estimated is not what is; steps are finer where heads that look widely end.
inline constexpr double kLadder[] = {0.3, 0.6, 0.8, 0.9, 0.95, 0.98, 0.995};

}  // namespace saccade
