#pragma once

#include "apps/saccade/options.h"

namespace saccade::app {

struct TuneOptions : RowOptions {
  double budget = 0.3;  ///< of dense attention's cost
};

/// Errors: Fault::kUser, one line that names the flag, its rule and its value.
void check(const TuneOptions& options);

void tune_command(const TuneOptions& options);

}  // namespace saccade::app
