#pragma once

#include <optional>
#include <string>
#include <vector>

#include "python/src/arrays.h"

namespace saccade::python {

/// The sequences of one call: q [batch, seq, heads, head_dim] and k, v [batch, kv_len, n_kv_heads, head_dim(_v)], or
/// sequences of different lengths one after the other, [total, heads, head_dim] cut at cu_seqlens; or one query a
/// sequence. Views only.
class Batch {
 public:
  /// How sequences lie. All but q and k may be None. `place` begins every error.
  struct Given {
    nanobind::handle q, k, v = nanobind::none();
    nanobind::handle cu_seqlens = nanobind::none();    ///< i32 or i64 [batch + 1], from 0 to total
    nanobind::handle cu_seqlens_k = nanobind::none();  ///< the same of the keys
    nanobind::handle kv_lens = nanobind::none();       ///< [batch]: the keys of each; the rest is room
    bool decodes = false;                              ///< q may be [batch, heads, head_dim]: one query a sequence
  };
  /// Errors: ValueError for shapes that do not fit, TypeError for dtypes and devices; one line.
  Batch(const std::string& place, const Given& given);

  Pos size() const { return size_; }
  View q(Pos i) const;
  View k(Pos i) const { return keys(k_, i); }
  /// The keys where no values were given: who looks at none reads them.
  View v(Pos i) const { return keys(values(), i); }
  bool has_values() const { return v_.has_value(); }
  /// The first of the sequence's rows, all of the batch's queries counted through.
  Pos first_row(Pos i) const;
  Pos n_rows() const;
  /// Keys that a sequence has room for.
  Pos room() const { return k_.shape(packed() ? 0 : 1); }
  /// Lies by cu_seqlens.
  bool packed() const { return !cu_q_.empty(); }

  Pos n_heads() const { return q_.shape(q_.ndim() - 2); }
  Pos n_kv_heads() const { return k_.shape(k_.ndim() - 2); }
  Pos head_dim() const { return q_.shape(q_.ndim() - 1); }
  Pos head_dim_v() const { return values().shape(values().ndim() - 1); }
  /// q's shape, the last dimension `last`; without one when `last` < 0.
  std::vector<Pos> shape_like_q(Pos last) const;

 private:
  const Array& values() const { return v_ ? *v_ : k_; }
  View keys(const Array& array, Pos i) const;
  void check_rows() const;
  Pos checked_size(const std::string& place) const;

  Array q_, k_;
  std::optional<Array> v_;
  bool one_query_;  // q without its length
  std::vector<Pos> cu_q_, cu_k_, kv_lens_;
  Pos size_ = 0;
};

}  // namespace saccade::python
