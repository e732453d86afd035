#pragma once

namespace saccade {

/// A pair that a list names costs this much more than one of dense attention, whose blocks are larger and shared by all
/// heads: `saccade bench attend --density`.
inline constexpr double kTaxOfLists = 1.15;

}  // namespace saccade
