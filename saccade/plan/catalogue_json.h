#pragma once

#include <nlohmann/json.hpp>

#include "saccade/plan/catalogue.h"

namespace saccade {

/// What a mechanism goes by, in a word: "positions", "data", "choices" or "weights".
const char* goes_by(const MechanismInfo& info);

/// A mechanism in full, as `saccade list --json` and saccade_list() of the C ABI show it; docs/cli.md explains the
/// keys.
nlohmann::ordered_json to_json(const MechanismInfo& info);

}  // namespace saccade
