#pragma once

#include <cstdint>

#include "saccade/where/dense.h"
#include "saccade/where/parts/selection.h"

namespace saccade {

/// All heads of the call dense, because the card of the selector says so, and counted as that.
inline void run_dense_by_rule(const SelectCall& call, Selection& out) {
  out.of_head.assign(call.heads.size(), make_where(where::Dense{}));
  out.scope = Scope::kLayer;
  out.n_dense_by_rule = static_cast<std::int64_t>(call.heads.size());
}

}  // namespace saccade
