#pragma once

#include <cmath>
#include <string>

#include "saccade/base/error.h"

namespace saccade::weigh {

/// Bends scores so that none leaves (-c, c): score becomes c tanh(score / c). Applied after the scale, before bias and
/// mask. c = 0 leaves scores alone.
/// Source: Gemma 2, arXiv:2408.00118, section 2.
struct Softcap {
  double c = 50.0;

  /// The definition, in whatever precision it is asked in.
  template <class T>
  T shape(T score) const {
    const T most = static_cast<T>(c);
    return c > 0 ? most * std::tanh(score / most) : score;
  }
  /// What attention is asked for (AttendCall).
  float softcap() const { return static_cast<float>(c); }
  void fields(auto& f) { f("c", c, "no score leaves (-c, c); 0: no cap"); }
  void check() const {
    if (!(c >= 0) || std::isinf(softcap())) {
      fail_user("weigh/softcap: c must be >= 0 and finite, got " + std::to_string(c));
    }
  }
};

}  // namespace saccade::weigh
