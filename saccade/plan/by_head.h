#pragma once

#include <map>
#include <string>
#include <utility>

#include "saccade/plan/reader.h"

namespace saccade {

/// A plan that gives each (layer, head) its spec, in few rows, by their first layer: heads of a layer with one spec
/// share a row, and so do layers in which it has the same heads. The default is dense: it has no rows, and layers and
/// heads that are not named get it. Errors: as parse_spec.
PlanRows plan_by_head(const std::map<std::pair<int, int>, std::string>& specs);

}  // namespace saccade
