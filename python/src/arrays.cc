#include "python/src/arrays.h"

#include <nanobind/stl/string.h>

#include "saccade/base/error.h"

namespace nb = nanobind;

namespace saccade::python {
namespace {

/// torch.Tensor, if somebody has imported torch; the library never does.
nb::handle tensor_type() {
  static nb::handle type;  // lives as long as the process, like the module it stands in
  if (!type.is_valid()) {
    PyObject* const modules = PyImport_GetModuleDict();
    PyObject* const torch = PyDict_GetItemString(modules, "torch");
    PyObject* const found = torch == nullptr ? nullptr : PyObject_GetAttrString(torch, "Tensor");
    if (found == nullptr) return PyErr_Clear(), nb::handle();  // none, or half imported
    type = found;
  }
  return type;
}

bool is_tensor(nb::handle object) {
  const nb::handle type = tensor_type();
  return type.is_valid() && PyType_IsSubtype(Py_TYPE(object.ptr()), reinterpret_cast<PyTypeObject*>(type.ptr())) != 0;
}

const nb::object& torch() {
  static const nb::object* const module = new nb::object(nb::module_::import_("torch"));
  return *module;
}

const nb::object& numpy_empty() {
  static const nb::object* const empty = new nb::object(nb::module_::import_("numpy").attr("empty"));
  return *empty;
}

/// str(object)
std::string text_of(const nb::object& object) { return nb::cast<std::string>(nb::steal(PyObject_Str(object.ptr()))); }

/// A tensor without its place in autograd's graph. There is no backward pass.
nb::object without_graph(nb::handle tensor, const std::string& name) {
  if (!nb::cast<bool>(tensor.attr("requires_grad"))) return nb::borrow(tensor);
  if (nb::cast<bool>(torch().attr("is_grad_enabled")())) {
    fail_user(name +
              " requires grad and there is no backward yet: pass a detached tensor, or work under torch.no_grad()");
  }
  return tensor.attr("detach")();
}

/// A CPU tensor's memory, by the function behind Tensor.__dlpack__: a quarter of the time, and a call has four.
nb::object capsule_of(const nb::object& tensor) {
  static const auto* const to_dlpack = new nb::object(nb::module_::import_("torch.utils.dlpack").attr("to_dlpack"));
  try {
    return (*to_dlpack)(tensor);
  } catch (const nb::python_error&) {  // sparse, on another device, ...
    return tensor;
  }
}

/// The bits of an array of ml_dtypes.bfloat16; nothing for any other object.
nb::object bits_of_ml_bf16(nb::handle object) {
  if (!nb::hasattr(object, "dtype") || !nb::hasattr(object, "view")) return {};
  const nb::object dtype = object.attr("dtype");
  if (!nb::hasattr(dtype, "name") || text_of(dtype.attr("name")) != "bfloat16") return {};
  return object.attr("view")("uint16");
}

}  // namespace

std::string kind_of(nb::handle object) { return nb::cast<std::string>(nb::str(object.type().attr("__name__"))); }

void type_error(const std::string& line) { throw nb::type_error(line.c_str()); }

Array::Array(nb::handle object, std::string name) : name_(std::move(name)) {
  nb::object source = nb::borrow(object);
  const bool tensor = is_tensor(object);
  if (tensor) source = capsule_of(without_graph(object, name_));
  if (!nb::try_cast(source, array_, false)) {
    PyErr_Clear();
    source = bits_of_ml_bf16(object);
    is_ml_bf16_ = source.is_valid() && nb::try_cast(source, array_, false);
    PyErr_Clear();
  }
  const bool on_cpu = array_.is_valid() && array_.device_type() == nb::device::cpu::value;
  if (tensor && !on_cpu) {
    type_error(name_ + " must be on the CPU, got a tensor on " + text_of(object.attr("device")));
  }
  if (!on_cpu) {
    type_error(name_ + " must be a NumPy array or a CPU tensor of f32, f16 or bf16, got " + kind_of(object));
  }
}

std::string Array::shape_text() const {
  std::string text = "[";
  for (int i = 0; i < ndim(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape(i));
  return text + "]";
}

std::string Array::dtype_text() const {
  const std::string bits = std::to_string(array_.dtype().bits);
  if (is_bf16()) return "bf16";
  switch (static_cast<nb::dlpack::dtype_code>(array_.dtype().code)) {
    case nb::dlpack::dtype_code::Int:
      return "i" + bits;
    case nb::dlpack::dtype_code::UInt:
      return "u" + bits;
    case nb::dlpack::dtype_code::Float:
      return "f" + bits;
    case nb::dlpack::dtype_code::Complex:
      return "complex" + bits;
    case nb::dlpack::dtype_code::Bool:
      return "bool";
    default:
      return "another dtype";
  }
}

std::optional<DType> Array::dtype() const {
  if (is_bf16()) return DType::bf16;
  if (is_ml_bf16_) return {};
  if (code_is(nb::dlpack::dtype_code::Float, 32)) return DType::f32;
  if (code_is(nb::dlpack::dtype_code::Float, 16)) return DType::f16;
  return {};
}

DType Array::float_dtype() const {
  if (const auto known = dtype()) return *known;
  type_error(name_ + " must be f32, f16 or bf16, got " + dtype_text());
}

void Array::want_contiguous_rows() const {
  const int last = ndim() - 1;
  if (array_.size() > 0 && shape(last) > 1 && stride(last) != 1) {
    fail_user(name_ + "'s last dimension must be contiguous, got a stride of " + std::to_string(stride(last)) +
              " elements");
  }
}

namespace {

/// One after the other, along the only dimension.
template <class T, class Out>
std::vector<Out> read_as(const Array& array) {
  std::vector<Out> out;
  for (Pos i = 0; i < array.shape(0); ++i) {
    T value;
    std::memcpy(&value, array.data() + i * array.stride_bytes(0), sizeof(T));
    out.push_back(static_cast<Out>(value));
  }
  return out;
}

template <class Out>
std::vector<Out> read_sequence(nb::handle object, const std::string& name, const char* what) {
  std::vector<Out> out;
  try {
    for (const nb::handle item : object) out.push_back(nb::cast<Out>(item));
  } catch (const nb::cast_error&) {
    type_error(name + " must hold " + what);
  }
  return out;
}

bool is_sequence(nb::handle object) { return nb::isinstance<nb::list>(object) || nb::isinstance<nb::tuple>(object); }

void want_one_dimension(const Array& array) {
  if (array.ndim() != 1) fail_user(array.name() + " must have one dimension, got shape " + array.shape_text());
}

}  // namespace

std::vector<Pos> read_ints(nb::handle object, const std::string& name) {
  if (is_sequence(object)) return read_sequence<Pos>(object, name, "whole numbers");
  const Array array(object, name);
  want_one_dimension(array);
  if (array.code_is(nb::dlpack::dtype_code::Int, 64)) return read_as<std::int64_t, Pos>(array);
  if (array.code_is(nb::dlpack::dtype_code::Int, 32)) return read_as<std::int32_t, Pos>(array);
  type_error(name + " must hold whole numbers (i32 or i64), got " + array.dtype_text());
}

std::vector<float> read_floats(nb::handle object, const std::string& name) {
  if (is_sequence(object)) return read_sequence<float>(object, name, "numbers");
  const Array array(object, name);
  want_one_dimension(array);
  if (array.code_is(nb::dlpack::dtype_code::Float, 64)) return read_as<double, float>(array);
  if (array.code_is(nb::dlpack::dtype_code::Float, 32)) return read_as<float, float>(array);
  type_error(name + " must be f32 or f64, got " + array.dtype_text());
}

Library library_of(nb::handle object) { return is_tensor(object) ? Library::kTorch : Library::kNumpy; }

nb::object new_array(nb::handle like, const std::vector<Pos>& shape, const char* dtype) {
  nb::list sizes;
  for (const Pos size : shape) sizes.append(size);
  const nb::tuple size_tuple(sizes);
  if (library_of(like) == Library::kTorch) {
    return torch().attr("empty")(size_tuple, nb::arg("dtype") = dtype ? torch().attr(dtype) : like.attr("dtype"));
  }
  if (dtype) return numpy_empty()(size_tuple, nb::str(dtype));
  if (nb::hasattr(like, "dtype")) return numpy_empty()(size_tuple, like.attr("dtype"));
  return numpy_empty()(size_tuple, nb::str("float32"));
}

View view_of(const Array& array, std::ptrdiff_t offset) {
  const int n = array.ndim();
  return {array.data() + offset, array.float_dtype(),       array.shape(n - 3),       array.shape(n - 2),
          array.shape(n - 1),    array.stride_bytes(n - 3), array.stride_bytes(n - 2)};
}

}  // namespace saccade::python
