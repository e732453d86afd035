#pragma once

#include <nanobind/nanobind.h>

#include <string>
#include <vector>

#include "python/src/batch.h"
#include "saccade/attend/attend.h"
#include "saccade/base/team.h"
#include "saccade/base/view.h"

namespace saccade::python {

/// Where o goes: an array of the caller's or a new one, f32, f16 or bf16, [rows of the batch, n_heads, head_dim_v].
class Output {
 public:
  /// `out` None: a new array of `like`'s library and dtype. Errors: ValueError for a shape or strides that do not fit,
  /// TypeError for a dtype.
  Output(nanobind::handle out, nanobind::handle like, const std::vector<Pos>& shape, const std::string& name);

  const nanobind::object& object() const { return object_; }
  /// Results are not f32 and have to be rounded from scratch memory.
  bool rounds() const { return dtype_ != DType::f32; }
  /// f32 rows from `row` on: the array's own.
  MutableView view(Pos row, Pos len) const;
  /// Rounds [len, n_heads, dim] of f32 into the rows from `row` on.
  void round(const float* from, Pos row, Pos len, Team& team) const;

 private:
  std::byte* at(Pos row) const { return data_ + row * row_stride_; }

  nanobind::object object_;
  std::byte* data_ = nullptr;
  DType dtype_ = DType::f32;
  Pos n_heads_ = 0, dim_ = 0;
  std::ptrdiff_t row_stride_ = 0, head_stride_ = 0;  ///< bytes
};

/// Numbers of a call's o.
inline std::size_t n_of_o(const AttendCall& call) {
  return static_cast<std::size_t>(call.q.len * call.q.n_heads * call.v.dim);
}

/// n_of_o(call) floats as its o, row after row.
MutableView packed_o(float* data, const AttendCall& call);

/// Errors: ValueError, one line that begins `place` and names the first row with a NaN, where there is one.
void want_no_nan(const std::string& place, const MutableView& o, Pos sequence, Team& team);

}  // namespace saccade::python
