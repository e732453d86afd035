#pragma once

#include <string>
#include <vector>

namespace saccade::report {

struct Tick {
  double value = 0;
  std::string text;
};

/// Maps values to places on a page, and knows where to write which number.
class Axis {
 public:
  /// From 0 to at least `most`, at round numbers.
  static Axis from_zero(double most);
  /// Whole powers of ten that enclose [least, most]; at least one. Requires 0 < least <= most.
  static Axis powers_of_ten(double least, double most);
  /// From a power of 1/2 that is at most `least` up to 1. Requires 0 < least <= 1.
  static Axis halves_of_one(double least);

  /// The places of the two ends, in pixels; begin may be larger than end.
  Axis& place(double begin, double end);
  double at(double value) const;
  double low() const { return low_; }
  const std::vector<Tick>& ticks() const { return ticks_; }

 private:
  bool log_ = false;
  double low_ = 0, high_ = 1, begin_ = 0, end_ = 1;
  std::vector<Tick> ticks_;
};

/// A number for people: three digits, no more zeros than needed; "-" for NaN.
std::string number(double value);

}  // namespace saccade::report
