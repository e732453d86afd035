#pragma once

#include <vector>

#include "saccade/base/view.h"

namespace saccade::judge {

/// The positions of a prompt at which fidelity is measured: ascending, each once, three quarters of them in the second
/// half, evenly spread in each half, and never the last one, whose next token is not known. The same for every call.
///
/// Requires  n_prompt >= 0, n_samples >= 0
/// Returns   min(n_samples, n_prompt - 1) positions; where the second half is too short for its share, the first half
///           gives more
std::vector<Pos> sample_positions(Pos n_prompt, Pos n_samples = 1024);

}  // namespace saccade::judge
