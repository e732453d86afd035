#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <limits>
#include <span>
#include <string>

#include "saccade/base/random.h"
#include "saccade/oracle/attention.h"

namespace saccade::oracle {

/// The one rule by which a fast result is judged, one row (one query, one head) at a time:
///   max|fast - oracle| <= 2 max|plain - oracle| + 4 eps max|v|
/// plain is the oracle's own loop in the named precision (f32), fed the same rounded inputs. lse likewise, with
/// max(1, |lse|) in the place of max|v|. Nobody types a tolerance.
///
/// When scores are large, a row's error is one rounding of one score, and a plain loop that happens to round well there
/// says nothing about plain loops: 3 % of rows would fail at scores of 30 with arithmetic that is as good as plain's
/// (root mean square ratio 1.0). So a row that seems to fail is measured again with the products of its dots in up to
/// 64 other orders, all equally plain, and the worst of them counts.
struct Expected {
  Pos i = 0, head = 0;
  Row<double> exact;
  double size = 0.0;                                   ///< max|v| of what was averaged
  double eps = std::numeric_limits<float>::epsilon();  ///< of the precision
  double plain_error_o = 0.0, plain_error_lse = 0.0;   ///< of the plain loop, largest of the row
  std::function<Row<float>(Pos order)> plain = {};     ///< may be empty; borrows the inputs

  double allowed_o() const { return 2.0 * plain_error_o + 4.0 * eps * size; }
  double allowed_lse() const { return 2.0 * plain_error_lse + 4.0 * eps * std::max(1.0, std::fabs(exact.lse)); }

  /// Measures the plain loop. What is not a number in both measures nothing.
  template <class T>
  void compare_with(const Row<T>& other) {
    const auto error = [](double a, double b) { return std::isfinite(a) && std::isfinite(b) ? std::fabs(a - b) : 0.0; };
    for (std::size_t c = 0; c < other.o.size(); ++c) {
      plain_error_o = std::max(plain_error_o, error(other.o[c], exact.o[c]));
    }
    plain_error_lse = std::max(plain_error_lse, error(other.lse, exact.lse));
  }
};

/// `shape` must be callable with double and with float. The inputs are borrowed; `visible` and `shape` are copied, so
/// what they refer to has to outlive the result.
template <class Visible, class Shape>
Expected expect_row(const Inputs& in, Pos i, Pos head, const Visible& visible, const Shape& shape) {
  Expected expected{i, head, attend_row<double>(in, i, head, visible, shape)};
  for (const Pos j : expected.exact.seen) {
    for (Pos c = 0; c < in.v_dim(); ++c) {
      const double v = std::fabs(in.v_row(j, head)[c]);
      if (std::isfinite(v)) expected.size = std::max(expected.size, v);
    }
  }
  expected.plain = [&in, i, head, visible, shape](Pos order) {
    Random random(static_cast<std::uint64_t>(order));
    const auto shape_somehow = [&](float score) {
      const float shaped = shape(score);
      const Pos step = order == 0 || shaped == score ? 0 : random.between(-1, 1);
      return step == 0 ? shaped : std::nextafter(shaped, step < 0 ? -HUGE_VALF : HUGE_VALF);
    };
    return attend_row<float>(in, i, head, visible, shape_somehow, order);
  };
  expected.compare_with(expected.plain(0));
  return expected;
}

/// A number must lie within `allowed`, -inf must be -inf, and what is not finite otherwise must not look like a number.
inline bool is_allowed(double actual, double expected, double allowed) {
  if (expected == -std::numeric_limits<double>::infinity()) return actual == expected;
  if (!std::isfinite(expected)) return !std::isfinite(actual);
  return std::fabs(actual - expected) <= allowed;  // false for NaN
}

namespace detail {

inline std::string text_of(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

inline std::string fault_once(const Expected& row, std::span<const float> o, const float* lse) {
  const auto fault = [&](const std::string& what, double expected, double actual, double allowed) {
    return "head " + std::to_string(row.head) + ", query " + std::to_string(row.i) + ", " + what + ": expected " +
           text_of(expected) + ", got " + text_of(actual) + ", off by " + text_of(std::fabs(actual - expected)) +
           ", allowed " + text_of(allowed) + " (saw " + std::to_string(row.exact.seen.size()) + " keys)";
  };
  if (o.size() != row.exact.o.size()) return "o has " + std::to_string(o.size()) + " elements";
  for (std::size_t c = 0; c < o.size(); ++c) {
    if (!is_allowed(o[c], row.exact.o[c], row.allowed_o())) {
      return fault("o[" + std::to_string(c) + "]", row.exact.o[c], o[c], row.allowed_o());
    }
  }
  if (lse != nullptr && !is_allowed(*lse, row.exact.lse, row.allowed_lse())) {
    return fault("lse", row.exact.lse, *lse, row.allowed_lse());
  }
  return "";
}

}  // namespace detail

/// Judges one row; `lse` null: only o. Empty: it is allowed; else one line that says where, what and how far.
inline std::string fault_of(Expected row, std::span<const float> o, const float* lse) {
  constexpr Pos kOrders = 64;
  std::string fault = detail::fault_once(row, o, lse);
  for (Pos order = 1; !fault.empty() && row.plain && order <= kOrders; ++order) {
    row.compare_with(row.plain(order));
    fault = detail::fault_once(row, o, lse);
  }
  return fault;
}

}  // namespace saccade::oracle
