#include "saccade/base/buffer.h"

#include <new>

namespace saccade {

void Buffer::Free::operator()(std::byte* data) const { ::operator delete[](data, std::align_val_t{64}); }

void Buffer::reserve(std::size_t bytes) {
  if (bytes <= bytes_) return;
  data_.reset();
  bytes_ = 0;
  data_.reset(static_cast<std::byte*>(::operator new[](bytes, std::align_val_t{64})));
  bytes_ = bytes;
}

}  // namespace saccade
