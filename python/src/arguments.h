#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "saccade/plan/plan.h"
#include "saccade/where/where.h"

namespace saccade::python {

/// Patterns that are given rather than chosen (a selection made before, a compiled mask_mod), for each sequence of a
/// batch or one for all of them: of_sequence[i] holds one pattern for all heads or one a head. `attend` takes it as
/// `attn`; what is bound to Python derives from it. They hold for one shape of call, whose first query has position
/// q_begin.
struct Patterns {
  std::vector<std::vector<WherePtr>> of_sequence;
  Pos q_len = 0, kv_len = 0, q_begin = 0;
  virtual ~Patterns() = default;
};

/// What `attn` says: a plan, or patterns, and then the plan is dense.
struct Attn {
  std::shared_ptr<const Plan> plan;
  const Patterns* patterns = nullptr;  ///< borrowed from the caller's object
};

/// A spec string, a Plan, a plan or a row of one as a dict, Patterns, or an object whose `name` is a mechanism's and
/// whose attributes are its parameters. Errors: ValueError, one line; TypeError for another type.
Attn read_attn(nanobind::handle attn);

/// "softmax": 0, "softcap(30)": 30. Errors: ValueError, one line.
float read_weigh(const std::string& weigh);

/// 1 / sqrt(head_dim) when none is given.
float scale_or_default(std::optional<double> scale, Pos head_dim);

}  // namespace saccade::python
