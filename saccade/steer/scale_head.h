#pragma once

#include <cmath>

#include "saccade/base/error.h"
#include "saccade/steer/edit.h"

namespace saccade::steer {

/// A head's output, multiplied; what the other heads do is left alone.
///   o' = gain o;  0 where gain is 0
///
/// Cost      one multiplication an element of the head's output
/// Source    steer-and-see, HK9; zeroing: Michel et al. 2019, arXiv:1905.10650
struct ScaleHead {
  double gain = 0.0;
  HeadEdit edit() const { return {.uniform = false, .gain = static_cast<float>(gain)}; }
  void fields(auto& f) { f("gain", gain, "multiplies the head's output; 0: silent, 1: as it was"); }
  void check() const {
    if (!std::isfinite(static_cast<float>(gain))) fail_user("steer/scale_head: gain must be a finite number");
  }
};

}  // namespace saccade::steer
