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
/// `attn`; what is bound to Python derives from it. They hold for one shape of call.
struct Patterns {
  struct Shape {
    Pos q_len = 0, kv_len = 0;
    Pos q_begin = 0;  ///< position of the first query
    Range q_positions() const { return {q_begin, q_begin + q_len}; }
  };
  std::vector<std::vector<WherePtr>> of_sequence;
  std::vector<Shape> shapes;  ///< one for all sequences, or one for each
  const Shape& shape(Pos i) const { return shapes[shapes.size() == 1 ? 0 : static_cast<std::size_t>(i)]; }
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

/// The soft cap that `weigh` asks for in this layer, 0 for none: a spec, a row of a plan as a dict ({"weigh": spec,
/// "layers": "2-23"}; elsewhere softmax), or an object whose `name` is a way to weigh and whose attributes are its
/// parameters. Errors: ValueError, one line; TypeError for another type.
float read_weigh(nanobind::handle weigh, int layer);

/// 1 / sqrt(head_dim) when none is given.
float scale_or_default(std::optional<double> scale, Pos head_dim);

}  // namespace saccade::python
