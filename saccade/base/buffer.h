#pragma once

#include <cstddef>
#include <memory>

#include "saccade/base/view.h"

namespace saccade {

/// 64-byte aligned memory that only ever grows.
class Buffer {
 public:
  /// Throws std::bad_alloc. What was in it is lost when it grows.
  void reserve(std::size_t bytes);
  std::byte* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(std::byte* data) const;
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t bytes_ = 0;
};

/// Hands out aligned pieces of a buffer; without one it only counts, so that one function lays out and measures.
class Layout {
 public:
  explicit Layout(std::byte* base = nullptr) : base_(base) {}
  template <class T>
  T* take(Pos n) {
    std::byte* at = base_ ? base_ + used_ : nullptr;
    used_ += (static_cast<std::size_t>(n) * sizeof(T) + 63) / 64 * 64;
    return reinterpret_cast<T*>(at);
  }
  std::size_t used() const { return used_; }

 private:
  std::byte* base_;
  std::size_t used_ = 0;
};

}  // namespace saccade
