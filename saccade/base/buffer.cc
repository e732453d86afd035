#include "saccade/base/buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <new>

namespace saccade {
namespace {

constexpr std::size_t kLine = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

std::byte* allocate(std::size_t bytes) {
  const std::size_t unit = bytes < kHugePage ? kLine : kHugePage;
  const std::size_t whole = (bytes + unit - 1) / unit * unit;
  void* data = std::aligned_alloc(unit, whole);
  if (data == nullptr) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  if (unit == kHugePage) madvise(data, whole, MADV_HUGEPAGE);  // a hint; without it large blocks are only a bit slower
#endif
  return static_cast<std::byte*>(data);
}

}  // namespace

void Buffer::Free::operator()(std::byte* data) const { std::free(data); }

void Buffer::reserve(std::size_t bytes) {
  if (bytes <= bytes_) return;
  data_.reset();
  bytes_ = 0;
  data_.reset(allocate(bytes));
  bytes_ = bytes;
}

}  // namespace saccade
