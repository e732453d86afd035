#include <nanobind/nanobind.h>

#include <vector>

#include "python/src/arrays.h"
#include "python/src/bind.h"
#include "python/src/round.h"
#include "saccade/base/error.h"
#include "saccade/combine/partial.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace saccade::python {
namespace {

/// Where the i-th of an array's rows begins, its last `n_inner` dimensions not counted.
const std::byte* row_of(const Array& array, Pos i, int n_inner) {
  const std::byte* at = array.data();
  for (int dim = array.ndim() - 1 - n_inner; dim >= 0; --dim) {
    at += i % array.shape(dim) * array.stride_bytes(dim);
    i /= array.shape(dim);
  }
  return at;
}

std::vector<Pos> shape_of(const Array& array) {
  std::vector<Pos> shape;
  for (int i = 0; i < array.ndim(); ++i) shape.push_back(array.shape(i));
  return shape;
}

/// One side of a merge.
struct Side {
  Array o, lse;

  void check() const {
    o.float_dtype();
    if (o.ndim() < 1) fail_user(o.name() + " must have at least one dimension");
    o.want_contiguous_rows();
    if (lse.float_dtype() != DType::f32) type_error(lse.name() + " must be f32, got " + lse.dtype_text());
    std::vector<Pos> rows = shape_of(o);
    rows.pop_back();
    if (rows != shape_of(lse)) {
      fail_user(lse.name() + " must have " + o.name() + "'s shape without the last dimension, got " + lse.shape_text() +
                " for " + o.shape_text());
    }
  }
  void read(Pos row, std::vector<float>& into) const {
    const DType dtype = o.float_dtype();
    const std::byte* at = row_of(o, row, 1);
    const auto step = static_cast<std::ptrdiff_t>(row_bytes(dtype, 1));
    for (float& value : into) value = read_float(dtype, at), at += step;
  }
  float read_lse(Pos row) const { return read_float(DType::f32, row_of(lse, row, 0)); }
};

/// Merges row by row into new arrays; without the GIL.
void merge_all(const Side& a, const Side& b, const Array& o, float* lse, Pos n_rows) {
  const DType dtype = o.float_dtype();
  const auto dim = static_cast<std::size_t>(o.shape(o.ndim() - 1));
  std::vector<float> into(dim), other(dim);
  auto* out = const_cast<std::byte*>(o.data());
  for (Pos row = 0; row < n_rows; ++row) {
    a.read(row, into);
    b.read(row, other);
    Partial all{into, a.read_lse(row)};
    merge(all, Partial{other, b.read_lse(row)});
    lse[row] = all.lse;
    if (dtype == DType::f32) {
      std::memcpy(out, into.data(), dim * sizeof(float));
    } else {
      round_row(into.data(), static_cast<Pos>(dim), dtype, out);
    }
    out += row_bytes(dtype, static_cast<Pos>(dim));
  }
}

nb::object merge_arrays(nb::handle o_a, nb::handle lse_a, nb::handle o_b, nb::handle lse_b) {
  const Side a{Array(o_a, "merge: o_a"), Array(lse_a, "merge: lse_a")};
  const Side b{Array(o_b, "merge: o_b"), Array(lse_b, "merge: lse_b")};
  a.check();
  b.check();
  const std::vector<Pos> shape = shape_of(a.o);
  if (shape_of(b.o) != shape) {
    fail_user("merge: o_a and o_b must have one shape, got " + a.o.shape_text() + " and " + b.o.shape_text());
  }
  nb::object o = new_array(o_a, shape), lse = new_array(o_a, {shape.begin(), shape.end() - 1}, "float32");
  const Array o_array(o, "merge: o"), lse_array(lse, "merge: lse");
  Pos n_rows = 1;
  for (int i = 0; i + 1 < a.o.ndim(); ++i) n_rows *= a.o.shape(i);
  {
    const nb::gil_scoped_release release;
    merge_all(a, b, o_array, reinterpret_cast<float*>(const_cast<std::byte*>(lse_array.data())), n_rows);
  }
  return nb::make_tuple(o, lse);
}

}  // namespace

void bind_merge(nb::module_& m) {
  m.def("merge", &merge_arrays, "o_a"_a.none(), "lse_a"_a.none(), "o_b"_a.none(), "lse_b"_a.none(),
        R"(Joins two results over disjoint keys into the result over all of them.

  lse = log(exp(lse_a) + exp(lse_b));  o = exp(lse_a - lse) o_a + exp(lse_b - lse) o_b

Shapes    o_a, o_b [..., head_dim_v], f32, f16 or bf16; lse_a, lse_b [...], f32, as attend(return_lse=True) gives them
Returns   (o, lse), o in o_a's library and dtype
Units     lse in natural log; -inf means "saw no keys" and returns the other side bit for bit
Requires  disjoint keys (yours to keep): shared keys would count twice
Errors    ValueError for shapes, TypeError for dtypes. NaN in one row stays in that row.
Accuracy  at most 2x the error of the same formula in plain f32 loops
Source    Rabe & Staats 2021, arXiv:2112.05682)",
        nb::sig("def merge(o_a: typing.Any, lse_a: typing.Any, o_b: typing.Any, lse_b: typing.Any) -> "
                "tuple[typing.Any, typing.Any]"));
}

}  // namespace saccade::python
