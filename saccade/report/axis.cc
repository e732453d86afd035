#include "saccade/report/axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace saccade::report {

std::string number(double value) { return std::isnan(value) ? "-" : fmt::format("{:.3g}", value); }

Axis Axis::from_zero(double most) {
  most = std::isfinite(most) && most > 0 ? most : 1;
  // The smallest round step that needs at most seven of its kind.
  double step = 0;
  for (const double round : {1.0, 2.0, 2.5, 5.0, 10.0}) {
    step = round * std::pow(10, std::floor(std::log10(most / 7)));
    if (most / step <= 7) break;
  }
  Axis axis;
  axis.high_ = std::ceil(most / step) * step;
  for (int i = 0; i * step <= axis.high_ * (1 + 1e-9); ++i) axis.ticks_.push_back({i * step, number(i * step)});
  return axis;
}

Axis Axis::powers_of_ten(double least, double most) {
  Axis axis;
  axis.log_ = true;
  const int low = static_cast<int>(std::floor(std::log10(least)));
  const int high = std::max(low + 1, static_cast<int>(std::ceil(std::log10(most))));
  for (int power = low; power <= high; ++power)
    axis.ticks_.push_back({std::pow(10, power), number(std::pow(10, power))});
  axis.low_ = axis.ticks_.front().value;
  axis.high_ = axis.ticks_.back().value;
  return axis;
}

Axis Axis::halves_of_one(double least) {
  Axis axis;
  axis.log_ = true;
  const int low = std::clamp(static_cast<int>(std::floor(std::log2(least))), -20, -1);
  axis.low_ = std::exp2(low);
  const int step = 1 + (-low - 1) / 5;
  for (int power = 0; power >= low; power -= step)
    axis.ticks_.push_back({std::exp2(power), power == 0 ? "1" : fmt::format("1/{}", 1 << -power)});
  return axis;
}

Axis& Axis::place(double begin, double end) {
  begin_ = begin, end_ = end;
  return *this;
}

double Axis::at(double value) const {
  const double share =
      log_ ? std::log(std::max(value, low_) / low_) / std::log(high_ / low_) : (value - low_) / (high_ - low_);
  return begin_ + std::clamp(share, 0.0, 1.0) * (end_ - begin_);
}

}  // namespace saccade::report
