#pragma once

#include <optional>
#include <vector>

#include "python/src/arrays.h"

namespace saccade::python {

/// The caller's mask: [q_len, kv_len], or [batch or 1, heads or 1, q_len, kv_len]; bool (true: visible) or added to the
/// scores. f32 and f16 with contiguous rows are read where they lie; others are translated for one use, [q_len,
/// kv_len].
class Mask {
 public:
  Mask(nanobind::handle object, const std::string& name) : array_(object, name) {}

  /// Errors: ValueError for a shape that does not fit; TypeError for a dtype.
  void check(Pos batch, Pos n_heads, Pos q_len, Pos kv_len) const;
  bool per_head() const { return array_.ndim() == 4 && array_.shape(1) > 1; }
  /// Good until the next request.
  BiasView of(Pos sequence, Pos head, Pos q_len, Pos kv_len);

 private:
  Array array_;
  std::vector<float> translated_;
};

}  // namespace saccade::python
