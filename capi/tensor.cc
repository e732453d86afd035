#include "capi/tensor.h"

#include <cstdlib>
#include <string>

#include "capi/structs.h"

namespace saccade::capi {
namespace {

/// Larger than any memory there is, small enough for sums and products of two that are checked.
constexpr Pos kMostBytes = Pos{1} << 47;
constexpr Pos kMostLen = Pos{1} << 40, kMostHeads = Pos{1} << 20, kMostDim = Pos{1} << 40;

[[noreturn]] void fail(std::string_view name, const std::string& rule) { fail_user(std::string(name) + ": " + rule); }

void check_size(std::string_view name, const char* what, Pos size, Pos most) {
  if (size < 0 || size > most) {
    fail(name, std::string(what) + " must be in [0, " + std::to_string(most) + "], got " + std::to_string(size));
  }
}

DType dtype_of(std::string_view name, std::int32_t number) {
  switch (number) {
    case SACCADE_F32:
      return DType::f32;
    case SACCADE_F16:
      return DType::f16;
    case SACCADE_BF16:
      return DType::bf16;
    case SACCADE_Q8_0:
      return DType::q8_0;
    case SACCADE_Q4_0:
      return DType::q4_0;
    default:
      fail(name, "dtype must be one of saccade_dtype, got " + std::to_string(number));
  }
}

/// Bytes from the first row to the last one; kMostBytes stands for anything larger.
Pos reach_of(Pos stride, Pos n) {
  const Pos step = stride < 0 ? (stride < -kMostBytes ? kMostBytes : -stride) : stride;
  if (n <= 1 || step == 0) return 0;
  return step >= kMostBytes / (n - 1) ? kMostBytes : step * (n - 1);
}

/// Of the element itself, or of the scale before 32 of them.
std::uintptr_t alignment_of(DType dtype) { return dtype == DType::f32 ? 4 : 2; }

void check_memory(std::string_view name, const View& view) {
  if (view.len == 0 || view.n_heads == 0 || view.dim == 0) return;
  if (view.data == nullptr) fail(name, "data must not be null");
  const std::uintptr_t alignment = alignment_of(view.dtype);
  const auto bits = reinterpret_cast<std::uintptr_t>(view.data) | static_cast<std::uintptr_t>(view.len_stride) |
                    static_cast<std::uintptr_t>(view.head_stride);
  if (bits % alignment != 0) {
    fail(name, "data and strides must be multiples of " + std::to_string(alignment) + " bytes");
  }
  if (reach_of(view.len_stride, view.len) + reach_of(view.head_stride, view.n_heads) >= kMostBytes) {
    fail(name, "its strides reach further than any memory");
  }
}

View read(const saccade_tensor* theirs, std::string_view name) {
  const saccade_tensor tensor = taken(theirs, offsetof(saccade_tensor, len_stride), name);
  View view{tensor.data,       dtype_of(name, tensor.dtype), tensor.len, tensor.n_heads, tensor.dim, tensor.len_stride,
            tensor.head_stride};
  check_size(name, "len", view.len, kMostLen);
  check_size(name, "n_heads", view.n_heads, kMostHeads);
  check_size(name, "dim", view.dim, kMostDim);
  if (view.dim % block_len(view.dtype) != 0) {
    fail(name, "rows of " + std::string(name_of(view.dtype)) + " are whole blocks of 32 elements, got " +
                   std::to_string(view.dim));
  }
  if (view.len_stride == 0 && view.head_stride == 0) {
    view.head_stride = static_cast<std::ptrdiff_t>(row_bytes(view.dtype, view.dim));
    view.len_stride = view.head_stride * view.n_heads;
  }
  return view;
}

/// Does no element lie in two rows? Looks at the two strides, the smaller one first.
bool is_disjoint(const View& view) {
  const Pos bytes = static_cast<Pos>(row_bytes(view.dtype, view.dim));
  const auto apart = [&](Pos inner_stride, Pos n_inner, Pos outer_stride, Pos n_outer) {
    return (n_inner <= 1 || std::abs(inner_stride) >= bytes) &&
           (n_outer <= 1 || std::abs(outer_stride) >= reach_of(inner_stride, n_inner) + bytes);
  };
  return apart(view.head_stride, view.n_heads, view.len_stride, view.len) ||
         apart(view.len_stride, view.len, view.head_stride, view.n_heads);
}

}  // namespace

View view_of(const saccade_tensor* tensor, std::string_view name) {
  const View view = read(tensor, name);
  check_memory(name, view);
  return view;
}

MutableView output_of(const saccade_tensor* tensor, std::string_view name) {
  const View view = view_of(tensor, name);
  if (view.dtype != DType::f32) fail(name, "it is written as f32, got " + std::string(name_of(view.dtype)));
  if (!is_disjoint(view)) fail(name, "its rows must not overlap");
  float* const data = static_cast<float*>(const_cast<void*>(view.data));  // the caller's tensor holds it as writable
  return {data, view.len, view.n_heads, view.dim, view.len_stride, view.head_stride};
}

}  // namespace saccade::capi
