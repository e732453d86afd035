#include "saccade/attend/workspace.h"

#include <new>

namespace saccade {
namespace detail {

void Buffer::Free::operator()(std::byte* data) const { ::operator delete[](data, std::align_val_t{64}); }

void Buffer::reserve(std::size_t bytes) {
  if (bytes <= bytes_) return;
  data_.reset();
  bytes_ = 0;
  data_.reset(static_cast<std::byte*>(::operator new[](bytes, std::align_val_t{64})));
  bytes_ = bytes;
}

}  // namespace detail

Workspace::Workspace() : rooms_(std::make_unique<Rooms>()) {}
Workspace::~Workspace() = default;
Workspace::Workspace(Workspace&&) noexcept = default;
Workspace& Workspace::operator=(Workspace&&) noexcept = default;

}  // namespace saccade
