#pragma once

#include <string>
#include <vector>

#include "apps/saccade/compare_rows.h"
#include "apps/saccade/eval_rows.h"
#include "apps/saccade/options.h"

namespace saccade::app {

/// The pages that -o FILE.html writes. All say which model, text, machine and build their rows come from.

/// Speed-up against KL, recovered mass against density where it was measured, and all rows as a table. `skips` tells
/// which rows skip attention: they are a limit of the speed, not a choice. Requires as many of them as rows, and at
/// least one.
std::string html_of(const std::vector<CompareRow>& rows, const std::vector<bool>& skips, const ModelOptions& options);
/// The needles by depth, and a table. Requires at least one row.
std::string html_of(const std::vector<NeedleRow>& rows, const ModelOptions& options);
/// A table. Requires at least one row.
std::string html_of(const std::vector<PplRow>& rows, const ModelOptions& options);

}  // namespace saccade::app
