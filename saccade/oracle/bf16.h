#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "saccade/oracle/attention.h"

namespace saccade::oracle {

/// To the nearest number of 8 significant bits, ties to even; finite numbers far from overflow and from subnormal ones.
/// On the bits, of which an f64 keeps 52: half of the last one kept is added, less a hair where that bit is even.
inline double rounded_to_bf16(double x) {
  if (!std::isfinite(x)) return x;
  constexpr int kDropped = 52 - 7;
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const std::uint64_t nearly_half = (std::uint64_t{1} << (kDropped - 1)) - 1, is_odd = bits >> kDropped & 1U;
  return std::bit_cast<double>((bits + nearly_half + is_odd) >> kDropped << kDropped);
}

/// Softmax attention of one row with everything in fp64 but what precision bf16 rounds (kernel/bf16.h): q, k less the
/// centre of its KV head, v, and the weights relative to the row's largest.
///   score = shape(scale (q'.(k - centre)' + q.centre)) + slope bias;  a sink score takes weight, as in attend_row
///
/// Shapes    centre [n_kv_heads, head_dim] f32, any numbers; empty: none
/// Requires  visible and shape as in attend_row
/// Cost      2 kv_len (head_dim + head_dim_v) FLOP
template <class Visible, class Shape>
Row<double> attend_row_bf16(const Inputs& in, Pos i, Pos head, const Visible& visible, const Shape& shape,
                            std::span<const float> centre = {}) {
  constexpr double kNothing = -std::numeric_limits<double>::infinity();
  Row<double> row;
  row.o.assign(static_cast<std::size_t>(in.v_dim()), 0.0);
  const auto centre_at = [&](Pos c) {
    return centre.empty() ? 0.0F : centre[static_cast<std::size_t>(in.kv_head_of(head) * in.head_dim + c)];
  };
  const float* q = in.q_row(i, head);
  double shift = 0.0;
  std::vector<double> q_rounded;
  for (Pos c = 0; c < in.head_dim; ++c) {
    shift += double{q[c]} * double{centre_at(c)};
    q_rounded.push_back(rounded_to_bf16(q[c]));
  }
  std::vector<double> scores;
  for (Pos j = 0; j < in.kv_len; ++j) {
    if (!visible(in.q_begin + i, j)) continue;
    const double bias = in.bias.empty() ? 0.0 : double{in.bias[static_cast<std::size_t>(i * in.kv_len + j)]};
    if (bias == kNothing) continue;
    const float* k = in.k_row(j, head);
    double dot = 0.0;
    for (Pos c = 0; c < in.head_dim; ++c) {
      dot += q_rounded[static_cast<std::size_t>(c)] * rounded_to_bf16(k[c] - centre_at(c));
    }
    row.seen.push_back(j);
    scores.push_back(shape(double{in.scale} * (dot + shift)) + double{in.slope(head)} * bias);
  }
  const double sink = in.sink_score(head);
  if (scores.empty()) {
    row.lse = sink;
    return row;
  }

  const double row_max = *std::max_element(scores.begin(), scores.end());
  double row_sum = std::exp(sink - row_max);
  for (std::size_t n = 0; n < scores.size(); ++n) {
    const double weight = rounded_to_bf16(std::exp(scores[n] - row_max));
    row_sum += weight;
    row.weights.push_back(weight);
    const float* v = in.v_row(row.seen[n], head);
    for (std::size_t c = 0; c < row.o.size(); ++c) row.o[c] += weight * rounded_to_bf16(v[c]);
  }
  for (double& o : row.o) o /= row_sum;
  for (double& weight : row.weights) weight /= row_sum;
  row.lse = row_max + std::log(row_sum);
  return row;
}

}  // namespace saccade::oracle
