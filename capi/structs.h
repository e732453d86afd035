#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

#include "capi/guard.h"

namespace saccade::capi {

/// No header will ever hold a struct as large: what is larger was never initialised.
inline constexpr std::size_t kLargestStruct = 4096;

/// How much of a struct the caller's header knows. `least` is what the first header's required fields take.
/// Errors: Fault::kUser when no header can have had that size
template <class T>
std::size_t size_of(const T* theirs, std::size_t least, std::string_view name) {
  static_assert(offsetof(T, struct_size) == 0);
  const std::size_t size = needed(theirs, name)->struct_size;
  if (size >= least && size <= kLargestStruct && size % alignof(T) == 0) return size;
  fail_user(std::string(name) + ": struct_size must be sizeof of the struct (here " + std::to_string(sizeof(T)) +
            "), got " + std::to_string(size));
}

/// A caller's struct, of whichever header, as ours: what theirs does not have is zero.
/// Errors: those of size_of; Fault::kUser when it says something in fields that ours does not have
template <class T>
T taken(const T* theirs, std::size_t least, std::string_view name) {
  const std::size_t size = size_of(theirs, least, name);
  const auto* const bytes = reinterpret_cast<const unsigned char*>(theirs);
  if (size > sizeof(T) && std::any_of(bytes + sizeof(T), bytes + size, [](unsigned char byte) { return byte != 0; })) {
    fail_user(std::string(name) + ": made for a newer version than " + saccade_version() +
              ", and uses what is new in it");
  }
  T ours{};
  std::memcpy(&ours, bytes, std::min(size, sizeof(T)));
  return ours;
}

/// Fills in as much of a caller's struct as its header knows, `struct_size` excepted. `size` is from size_of.
template <class T>
void give(const T& ours, std::size_t size, T* theirs) noexcept {
  constexpr std::size_t kAt = sizeof ours.struct_size;
  const std::size_t n = std::min(size, sizeof(T)) - kAt;
  std::memcpy(reinterpret_cast<unsigned char*>(theirs) + kAt, reinterpret_cast<const unsigned char*>(&ours) + kAt, n);
}

}  // namespace saccade::capi
