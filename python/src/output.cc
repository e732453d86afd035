#include "python/src/output.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>

#include "python/src/arrays.h"
#include "python/src/round.h"
#include "saccade/base/error.h"

namespace nb = nanobind;

namespace saccade::python {
namespace {

/// Rows of a [batch, seq, ...] array can be counted through when the batches follow one another.
bool counts_through(const Array& array) {
  return array.ndim() < 4 || array.shape(0) <= 1 || array.stride(0) == array.shape(1) * array.stride(1);
}

/// Errors: ValueError when nobody may write there.
void want_writable(nb::handle object, const std::string& name) {
  if (!nb::hasattr(object, "flags") || !nb::hasattr(object.attr("flags"), "writeable")) return;
  if (!nb::cast<bool>(object.attr("flags").attr("writeable"))) fail_user(name + " must be writable");
}

/// Told by the bits, which the compiler takes many at a time.
bool has_nan(const float* row, Pos dim) {
  std::uint32_t largest = 0;
  for (Pos c = 0; c < dim; ++c) largest = std::max(largest, std::bit_cast<std::uint32_t>(row[c]) & 0x7FFFFFFFU);
  return largest > 0x7F800000U;
}

/// The first row with a NaN as query * n_heads + head; -1: there is none.
Pos first_nan(const MutableView& o, Team& team) {
  constexpr Pos kRows = 256;
  std::atomic<Pos> first{o.len * o.n_heads};
  parallel_for(team, (o.len + kRows - 1) / kRows, [&](Pos block, int) {
    for (Pos i = block * kRows; i < std::min(o.len, (block + 1) * kRows); ++i) {
      for (Pos head = 0; head < o.n_heads; ++head) {
        if (!has_nan(o.row(i, head), o.dim)) continue;
        const Pos row = i * o.n_heads + head;
        for (Pos known = first.load(); row < known && !first.compare_exchange_weak(known, row);) {
        }
        return;
      }
    }
  });
  return first == o.len * o.n_heads ? -1 : first.load();
}

}  // namespace

MutableView packed_o(float* data, const AttendCall& call) {
  const auto row_bytes = static_cast<std::ptrdiff_t>(call.v.dim * static_cast<Pos>(sizeof(float)));
  return {data, call.q.len, call.q.n_heads, call.v.dim, row_bytes * call.q.n_heads, row_bytes};
}

void want_no_nan(const std::string& place, const MutableView& o, Pos sequence, Team& team) {
  const Pos nan = first_nan(o, team);
  if (nan < 0) return;
  fail_user(place + "o has NaN, first in sequence " + std::to_string(sequence) + ", query " +
            std::to_string(nan / o.n_heads) + ", head " + std::to_string(nan % o.n_heads) +
            ": it looks at NaN or inf in q, k, v or the mask (allow_nan=True returns it)");
}

Output::Output(nb::handle out, nb::handle like, const std::vector<Pos>& shape, const std::string& name)
    : object_(out.is_none() ? new_array(like, shape) : nb::borrow(out)) {
  if (!out.is_none()) want_writable(out, name);
  const Array array(object_, name);
  dtype_ = array.float_dtype();
  bool fits = array.ndim() == static_cast<int>(shape.size());
  for (int i = 0; fits && i < array.ndim(); ++i) fits = array.shape(i) == shape[static_cast<std::size_t>(i)];
  if (!fits) {
    std::string wanted;
    for (const Pos size : shape) wanted += (wanted.empty() ? "[" : ", ") + std::to_string(size);
    fail_user(name + " must have shape " + wanted + "], got " + array.shape_text());
  }
  array.want_contiguous_rows();
  if (!counts_through(array)) fail_user(name + "'s sequences must follow one another without gaps");
  const int n = array.ndim();
  data_ = const_cast<std::byte*>(array.data());  // read-only arrays were turned away above
  n_heads_ = shape[shape.size() - 2];
  dim_ = shape.back();
  row_stride_ = array.stride_bytes(n - 3);
  head_stride_ = array.stride_bytes(n - 2);
}

MutableView Output::view(Pos row, Pos len) const {
  return {reinterpret_cast<float*>(at(row)), len, n_heads_, dim_, row_stride_, head_stride_};
}

void Output::round(const float* from, Pos row, Pos len, Team& team) const {
  constexpr Pos kRows = 64;
  parallel_for(team, (len + kRows - 1) / kRows, [&](Pos block, int) {
    for (Pos i = block * kRows; i < std::min(len, (block + 1) * kRows); ++i) {
      for (Pos head = 0; head < n_heads_; ++head) {
        round_row(from + (i * n_heads_ + head) * dim_, dim_, dtype_, at(row + i) + head * head_stride_);
      }
    }
  });
}

}  // namespace saccade::python
