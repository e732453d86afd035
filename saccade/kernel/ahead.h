#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace saccade::kernel {

/// Memory that will be read soon, on its way to the second-level cache: a few lines at a time beside something that
/// computes. Asked for all at once, lines wait for one another as long as if nobody had asked.
class Ahead {
 public:
  void clear() { n_ = 0, at_ = 0, row_ = 0, line_ = 0, n_lines_ = 0; }
  /// `n_rows` rows of `bytes`, one every `stride` bytes. At most kMost times.
  void add(const std::byte* first, std::ptrdiff_t stride, int n_rows, std::size_t bytes) {
    const auto into_line = static_cast<int>(reinterpret_cast<std::uintptr_t>(first) % kLine);
    Rows& rows =
        all_[n_++] = {first - into_line, stride, n_rows, (into_line + static_cast<int>(bytes) + kLine - 1) / kLine};
    n_lines_ += rows.n_rows * rows.n_lines;
  }
  /// Lines that are still to be asked for.
  int n_lines() const { return n_lines_; }
  /// Asks for the next n, or for all that are left.
  void fetch(int n) {
    for (; n > 0 && n_lines_ > 0; --n, --n_lines_) {
      const Rows& rows = all_[at_];
      __builtin_prefetch(rows.first + row_ * rows.stride + std::ptrdiff_t{line_} * kLine, 0, 2);
      if (++line_ < rows.n_lines) continue;
      line_ = 0;
      if (++row_ < rows.n_rows) continue;
      row_ = 0;
      ++at_;
    }
  }

  static constexpr std::size_t kMost = 4;

 private:
  static constexpr int kLine = 64;
  struct Rows {
    const std::byte* first;  // of a line
    std::ptrdiff_t stride;
    int n_rows, n_lines;  // lines of each row
  };
  std::array<Rows, kMost> all_{};
  std::size_t n_ = 0, at_ = 0;
  int row_ = 0, line_ = 0, n_lines_ = 0;
};

}  // namespace saccade::kernel
