#pragma once

#include <cmath>
#include <vector>

#include "saccade/oracle/attention.h"

namespace saccade::oracle {

/// The weights of one row of a map whose lse is known, written down as they are defined: weight = exp(score - lse), 0
/// where hidden. Scores, `visible`, `shape`, `order` and T as in attend_row, which gives the lse: the second pass of an
/// engine that saves lse and no scores.
///
/// Shapes    result [kv_len]; all zero when lse is -inf, which says that the row saw no key
/// Cost      2 kv_len head_dim FLOP
template <class T, class Visible, class Shape>
std::vector<T> weights_row(const Inputs& in, Pos i, Pos head, const Visible& visible, const Shape& shape, T lse,
                           Pos order = 0) {
  constexpr T kNothing = -std::numeric_limits<T>::infinity();
  std::vector<T> weights(static_cast<std::size_t>(in.kv_len), T{0});
  if (lse == kNothing) return weights;
  for (Pos j = 0; j < in.kv_len; ++j) {
    const T bias = in.bias.empty() ? T{0} : T{in.bias[static_cast<std::size_t>(i * in.kv_len + j)]};
    if (!visible(in.q_begin + i, j) || bias == kNothing) continue;
    const T dot = dot_of<T>(in.q_row(i, head), in.k_row(j, head), in.head_dim, order);
    weights[static_cast<std::size_t>(j)] = std::exp(shape(T{in.scale} * dot) + T{in.slope(head)} * bias - lse);
  }
  return weights;
}

}  // namespace saccade::oracle
