#pragma once

#include <string>

#include "saccade/base/view.h"

namespace saccade::testing {

/// What `len` queries see of `len` keys, one line per query: '#' is seen. Made to be compared with a drawing by hand.
template <class Pattern>
std::string picture(const Pattern& pattern, Pos len) {
  std::string lines;
  for (Pos q_pos = 0; q_pos < len; ++q_pos) {
    for (Pos k_pos = 0; k_pos < len; ++k_pos) lines += pattern.admits(q_pos, k_pos) ? '#' : '.';
    lines += '\n';
  }
  return lines;
}

}  // namespace saccade::testing
