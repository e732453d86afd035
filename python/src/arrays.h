#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "saccade/base/view.h"

namespace saccade::python {

/// An array of the caller's as it lies in memory: NumPy, a CPU tensor of torch, or whatever speaks DLPack or the buffer
/// protocol. Nothing is copied; the array is kept alive.
class Array {
 public:
  /// `name` stands in errors: "attend: q". Errors: TypeError for what is no array, for another device, and for a tensor
  /// that wants a gradient while torch records one.
  Array(nanobind::handle object, std::string name);

  const std::string& name() const { return name_; }
  int ndim() const { return static_cast<int>(array_.ndim()); }
  Pos shape(int i) const { return static_cast<Pos>(array_.shape(static_cast<std::size_t>(i))); }
  Pos stride(int i) const { return array_.stride(static_cast<std::size_t>(i)); }  ///< elements
  std::ptrdiff_t stride_bytes(int i) const { return stride(i) * static_cast<Pos>(array_.itemsize()); }
  const std::byte* data() const { return static_cast<const std::byte*>(array_.data()); }
  std::string shape_text() const;  ///< "[2, 8, 64]"
  std::string dtype_text() const;  ///< "f32"

  /// Nothing for what is not f32, f16 or bf16.
  std::optional<DType> dtype() const;
  bool is_bool() const { return array_.dtype().code == static_cast<std::uint8_t>(nanobind::dlpack::dtype_code::Bool); }
  bool is_bf16() const { return is_ml_bf16_ || code_is(nanobind::dlpack::dtype_code::Bfloat, 16); }
  bool code_is(nanobind::dlpack::dtype_code code, int bits) const {
    return array_.dtype().code == static_cast<std::uint8_t>(code) && array_.dtype().bits == bits;
  }

  /// Errors: TypeError, one line.
  DType float_dtype() const;
  /// Errors: ValueError unless the last dimension is contiguous.
  void want_contiguous_rows() const;

 private:
  std::string name_;
  nanobind::ndarray<nanobind::ro> array_;
  bool is_ml_bf16_ = false;  ///< NumPy has no bf16; package ml_dtypes adds one that DLPack does not know
};

/// Whole numbers of any width, from an array or a sequence.
std::vector<Pos> read_ints(nanobind::handle object, const std::string& name);
/// Numbers as f32, from an array or a sequence.
std::vector<float> read_floats(nanobind::handle object, const std::string& name);

/// Which library an array is of, and so what results are to be.
enum class Library { kNumpy, kTorch };
Library library_of(nanobind::handle object);

/// A new array in `like`'s library: of its dtype, or of that name ("float32", "float64").
nanobind::object new_array(nanobind::handle like, const std::vector<Pos>& shape, const char* dtype = nullptr);

/// [len, n_heads, dim] of an array whose last three dimensions those are, `offset` bytes into it.
View view_of(const Array& array, std::ptrdiff_t offset);

/// The name of an object's type, for errors.
std::string kind_of(nanobind::handle object);

[[noreturn]] void type_error(const std::string& line);

}  // namespace saccade::python
