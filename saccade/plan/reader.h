#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "saccade/plan/plan.h"

namespace saccade {

/// A plan's rows, without the patterns built from them.
struct PlanRows {
  Plan::Row default_row;
  std::vector<Plan::Row> rows;
  Precision precision = Precision::kAuto;
  LinearLayers linear = LinearLayers::kAuto;
};

/// "0,3-5" as half-open ranges {0, 1}, {3, 6}. Errors: Fault::kUser, one line that begins "plan: ", then `place`.
std::vector<Range> read_ranges(std::string_view text, std::string_view place);

/// Reads {"default": {"attn": SPEC, "precision": WORD, "linear": WORD}, "rows": [{"layers": "2-23", "heads": "0,3-5",
/// "attn": SPEC, "steer": SPEC}]}.
/// Without "default", everything is dense. Errors: Fault::kUser, one line, "plan: rows[0].layers: ...".
PlanRows read_plan(std::string_view json);

/// One line of JSON; read_plan(write_plan(p)) == p.
std::string write_plan(const PlanRows& plan);

}  // namespace saccade
