#pragma once

#include <algorithm>
#include <array>
#include <span>

#include "saccade/kernel/visit.h"

namespace saccade::detail {

/// `size` keys from a multiple of it: what items may have in common.
inline bool is_unit(Range keys, Pos size) { return keys.size() == size && keys.begin % size == 0; }

/// The keys of one call of a kernel: up to kBlockKeys of them, from as many ranges as it takes. A kernel call costs
/// about as much for a few keys as for a hundred, so short visits go into one together.
class Gathered {
 public:
  Gathered() = default;
  explicit Gathered(Range keys) { add(keys); }

  Pos size() const { return size_; }
  bool empty() const { return size_ == 0; }
  Pos room() const { return kernel::kBlockKeys - size_; }
  std::span<const Range> ranges() const { return {ranges_.data(), n_}; }
  Pos first() const { return ranges_[0].begin; }
  /// All of them side by side?
  bool one_range() const { return n_ == 1; }

  void clear() { n_ = 0, size_ = 0; }
  /// Requires no more than room() keys, none of them here already.
  void add(Range keys) {
    if (keys.empty()) return;
    size_ += keys.size();
    if (n_ > 0 && ranges_[n_ - 1].end == keys.begin) {
      ranges_[n_ - 1].end = keys.end;
    } else {
      ranges_[n_++] = keys;
    }
  }
  void add(const Gathered& more) {
    for (const Range keys : more.ranges()) add(keys);
  }
  /// Takes what fits, and cuts it off `keys`.
  void take(Range& keys) {
    const Pos end = std::min(keys.end, keys.begin + room());
    add({keys.begin, end});
    keys.begin = end;
  }

  /// Calls `body(keys, n)` for each range, n being the number of keys before it.
  template <class Body>
  void for_each(const Body& body) const {
    Pos n = 0;
    for (const Range keys : ranges()) body(keys, n), n += keys.size();
  }

 private:
  std::array<Range, kernel::kBlockKeys> ranges_;
  std::size_t n_ = 0;
  Pos size_ = 0;
};

}  // namespace saccade::detail
