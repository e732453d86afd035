#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

#include "saccade/base/view.h"
#include "tests/support/dtype.h"
#include "tests/support/random.h"

namespace saccade::testing {

/// How `[len, n_heads, dim]` lies in memory. Padding, where there is any, is NaN in every type (all bits set).
enum class Layout {
  kTokenMajor,  ///< [len, n_heads, dim], no gaps: nothing may be read past the end
  kHeadMajor,   ///< [n_heads, len, dim], no gaps
  kPadded,      ///< [len, n_heads, dim], gaps after every head and every token
};

struct Strides {
  Strides(Layout layout, Pos len, Pos n_heads, std::size_t bytes, std::size_t element) {
    const auto row = static_cast<std::ptrdiff_t>(bytes);
    const auto gap = static_cast<std::ptrdiff_t>(element);
    switch (layout) {
      case Layout::kTokenMajor:
        head = row, token = row * n_heads;
        break;
      case Layout::kHeadMajor:
        token = row, head = row * len;
        break;
      case Layout::kPadded:
        head = row + 3 * gap, token = head * n_heads + 5 * gap;
        break;
    }
    total = layout == Layout::kHeadMajor ? head * n_heads : token * len;
  }
  std::ptrdiff_t token = 0, head = 0, total = 0;
};

inline std::size_t element_bytes(DType dtype) { return row_bytes(dtype, block_len(dtype)); }

/// Storage for a View.
class Tensor {
 public:
  Tensor(DType dtype, Pos len, Pos n_heads, Pos dim, Layout layout)
      : strides_(layout, len, n_heads, row_bytes(dtype, dim), element_bytes(dtype)),
        bytes_(static_cast<std::size_t>(strides_.total), std::byte{0xFF}),
        view_{bytes_.data(), dtype, len, n_heads, dim, strides_.token, strides_.head} {}
  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;

  const View& view() const { return view_; }

  void set(Pos i, Pos head, std::span<const float> values) {
    encode(view_.dtype, values, bytes_.data() + i * strides_.token + head * strides_.head);
  }
  std::vector<float> get(Pos i, Pos head) const { return decode(view_.dtype, view_.row(i, head), view_.dim); }

  /// Normal values times `gain`.
  void fill(Random& random, float gain) {
    std::vector<float> values(static_cast<std::size_t>(view_.dim));
    for (Pos i = 0; i < view_.len; ++i) {
      for (Pos head = 0; head < view_.n_heads; ++head) {
        for (float& x : values) x = gain * random.normal();
        set(i, head, values);
      }
    }
  }

  /// What the storage really holds: [len, n_heads, dim].
  std::vector<float> decoded() const {
    std::vector<float> all;
    all.reserve(static_cast<std::size_t>(view_.len * view_.n_heads * view_.dim));
    for (Pos i = 0; i < view_.len; ++i) {
      for (Pos head = 0; head < view_.n_heads; ++head) {
        const std::vector<float> row = get(i, head);
        all.insert(all.end(), row.begin(), row.end());
      }
    }
    return all;
  }

 private:
  Strides strides_;
  std::vector<std::byte> bytes_;
  View view_;
};

/// Room for o and lse that starts as NaN and knows whether its gaps were left alone.
class Output {
 public:
  Output(Pos len, Pos n_heads, Pos dim, Layout layout)
      : strides_(layout, len, n_heads, row_bytes(DType::f32, dim), sizeof(float)),
        floats_(static_cast<std::size_t>(strides_.total) / sizeof(float)),
        lse_(static_cast<std::size_t>(len * n_heads)),
        view_{floats_.data(), len, n_heads, dim, strides_.token, strides_.head} {
    if (!floats_.empty()) std::memset(floats_.data(), 0xFF, floats_.size() * sizeof(float));
    if (!lse_.empty()) std::memset(lse_.data(), 0xFF, lse_.size() * sizeof(float));
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  const MutableView& view() const { return view_; }
  float* lse() { return lse_.data(); }
  std::span<const float> o(Pos i, Pos head) const { return {view_.row(i, head), static_cast<std::size_t>(view_.dim)}; }
  float lse(Pos i, Pos head) const { return lse_[static_cast<std::size_t>(i * view_.n_heads + head)]; }

  bool gaps_untouched() const {
    std::vector<bool> inside(floats_.size());
    for (Pos i = 0; i < view_.len; ++i) {
      for (Pos head = 0; head < view_.n_heads; ++head) {
        const auto first = inside.begin() + (view_.row(i, head) - floats_.data());
        std::fill(first, first + view_.dim, true);
      }
    }
    for (std::size_t n = 0; n < floats_.size(); ++n) {
      if (!inside[n] && std::bit_cast<std::uint32_t>(floats_[n]) != 0xFFFFFFFFU) return false;
    }
    return true;
  }
  bool same_bits(const Output& other, Pos i, Pos head) const {
    const float a = lse(i, head), b = other.lse(i, head);
    return std::memcmp(o(i, head).data(), other.o(i, head).data(), o(i, head).size_bytes()) == 0 &&
           std::memcmp(&a, &b, sizeof(float)) == 0;
  }
  bool same_bits(const Output& other) const {
    for (Pos i = 0; i < view_.len; ++i) {
      for (Pos head = 0; head < view_.n_heads; ++head) {
        if (!same_bits(other, i, head)) return false;
      }
    }
    return true;
  }

 private:
  Strides strides_;
  std::vector<float> floats_;
  std::vector<float> lse_;
  MutableView view_;
};

}  // namespace saccade::testing
