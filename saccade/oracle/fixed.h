#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "saccade/oracle/attention.h"

namespace saccade::oracle {

namespace detail {

/// A row as its scale and 16-bit integers leave it: |integers| at most `norm`, each at most 32767.
inline std::vector<double> rounded_row(const float* row, Pos dim, double norm) {
  double squares = 0, largest = 0;
  for (Pos c = 0; c < dim; ++c) {
    squares += double{row[c]} * double{row[c]};
    largest = std::max(largest, std::fabs(double{row[c]}));
  }
  std::vector<double> rounded(static_cast<std::size_t>(dim), 0.0);
  if (squares == 0) return rounded;
  const double scale = std::min(norm / std::sqrt(squares), 32767.0 / largest);
  for (Pos c = 0; c < dim; ++c) rounded[static_cast<std::size_t>(c)] = std::nearbyint(double{row[c]} * scale) / scale;
  return rounded;
}

}  // namespace detail

/// Softmax attention of one row in 16-bit fixed point: everything in fp64 but what precision i16 rounds
/// (kernel/fixed.h).
///   q, k: rows to 16 bits;  weight: to steps of 1/4096 of the largest in a block of 128 keys;
///   v: to 1/4095 of the largest of its dimension in the block
///
/// Requires  finite inputs, no bias, no soft cap
/// Cost      4 kv_len (head_dim + head_dim_v) FLOP
template <class Visible>
Row<double> attend_row_fixed(const Inputs& in, Pos i, Pos head, const Visible& visible) {
  constexpr std::size_t kBlock = 128;
  constexpr double kRowNorm = 46000, kWeightSteps = 4096, kValueSteps = 4095;
  Row<double> row;
  row.o.assign(static_cast<std::size_t>(in.v_dim()), 0.0);
  const std::vector<double> q = detail::rounded_row(in.q_row(i, head), in.head_dim, kRowNorm);
  std::vector<double> scores;
  for (Pos j = 0; j < in.kv_len; ++j) {
    if (!visible(in.q_begin + i, j)) continue;
    const std::vector<double> k = detail::rounded_row(in.k_row(j, head), in.head_dim, kRowNorm);
    double dot = 0;
    for (std::size_t c = 0; c < q.size(); ++c) dot += q[c] * k[c];
    row.seen.push_back(j);
    scores.push_back(double{in.scale} * dot);
  }
  const double sink = in.sink_score(head);
  if (scores.empty()) {
    row.lse = sink;
    return row;
  }

  const double row_max = *std::max_element(scores.begin(), scores.end());
  double row_sum = std::exp(sink - row_max);
  for (std::size_t first = 0; first < scores.size(); first += kBlock) {
    const std::size_t last = std::min(first + kBlock, scores.size());
    double block_max = scores[first];
    std::vector<double> largest(row.o.size(), 0.0);
    for (std::size_t n = first; n < last; ++n) {
      block_max = std::max(block_max, scores[n]);
      const float* v = in.v_row(row.seen[n], head);
      for (std::size_t c = 0; c < row.o.size(); ++c) largest[c] = std::max(largest[c], std::fabs(double{v[c]}));
    }
    const double share = std::exp(block_max - row_max);
    for (std::size_t n = first; n < last; ++n) {
      const double weight = std::exp(scores[n] - block_max);
      row_sum += share * weight;
      row.weights.push_back(share * weight);
      const double rounded = std::nearbyint(weight * kWeightSteps) / kWeightSteps;
      const float* v = in.v_row(row.seen[n], head);
      for (std::size_t c = 0; c < row.o.size(); ++c) {
        if (largest[c] == 0) continue;
        const double step = largest[c] / kValueSteps;
        row.o[c] += share * rounded * std::nearbyint(double{v[c]} / step) * step;
      }
    }
  }
  for (double& o : row.o) o /= row_sum;
  for (double& weight : row.weights) weight /= row_sum;
  row.lse = row_max + std::log(row_sum);
  return row;
}

}  // namespace saccade::oracle
