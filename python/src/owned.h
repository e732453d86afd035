#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <utility>
#include <vector>

#include "saccade/base/view.h"

namespace saccade::python {

/// A NumPy array of T that takes the numbers over; bool from bytes that are 0 or 1.
/// Requires  as many numbers as the shape has places
template <class T, class Number>
nanobind::object owned_array(std::vector<Number> numbers, const std::vector<Pos>& shape) {
  static_assert(sizeof(T) == sizeof(Number));
  auto* owned = new std::vector<Number>(std::move(numbers));
  const nanobind::capsule owner(owned, [](void* p) noexcept { delete static_cast<std::vector<Number>*>(p); });
  const std::vector<std::size_t> sizes(shape.begin(), shape.end());
  return nanobind::cast(
      nanobind::ndarray<nanobind::numpy, T>(static_cast<void*>(owned->data()), sizes.size(), sizes.data(), owner));
}

/// All numbers, of their own type, in one dimension.
template <class Number>
nanobind::object owned_list(std::vector<Number> numbers) {
  const auto n = static_cast<Pos>(numbers.size());
  return owned_array<Number>(std::move(numbers), {n});
}

}  // namespace saccade::python
