#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace saccade {

/// The candidates that a spec stands for when a plan is searched head by head: the bare name of a selector stands for a
/// ladder of itself, from the cheapest to the most careful, and `streaming` for one of windows; `minference` for the
/// patterns that its paper searches among. Anything else stands for itself.
///
/// Source    minference: arXiv:2407.02490, table 6 of its appendix and the code's search space. The steps of the
///           others are ours: a window goes with each, because a block's estimate says least about the newest keys.
std::vector<std::string> ladder_of(std::string_view spec);

}  // namespace saccade
