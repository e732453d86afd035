#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "saccade/base/view.h"
#include "saccade/oracle/bf16.h"

namespace saccade::oracle {

/// What a matrix product reads: parameters as their storage type decodes them, so that storage error is never blamed on
/// arithmetic.
struct LinearInputs {
  Pos n_tokens = 0, n_rows = 0, dim = 0;
  std::vector<float> x;       ///< [n_tokens, dim]
  std::vector<float> params;  ///< [n_rows, dim]

  const float* token(Pos t) const { return x.data() + t * dim; }
  const float* row(Pos r) const { return params.data() + r * dim; }
};

/// One token times all rows, as it is defined: y[r] = sum over d of params[r][d] x[d], in fp64.
/// Cost      2 n_rows dim FLOP
inline std::vector<double> linear_token(const LinearInputs& in, Pos t) {
  std::vector<double> y(static_cast<std::size_t>(in.n_rows), 0.0);
  for (Pos r = 0; r < in.n_rows; ++r) {
    for (Pos d = 0; d < in.dim; ++d) y[static_cast<std::size_t>(r)] += double{in.row(r)[d]} * double{in.token(t)[d]};
  }
  return y;
}

/// Each 256 elements as 16 bits leave them (linear/linear.h): |integers| at most `norm`, each at most 32767.
inline std::vector<double> rounded_chunks(const float* values, Pos dim, double norm) {
  constexpr Pos kChunk = 256;
  std::vector<double> rounded(static_cast<std::size_t>(dim), 0.0);
  for (Pos first = 0; first < dim; first += kChunk) {
    const Pos last = std::min(dim, first + kChunk);
    double squares = 0, largest = 0;
    for (Pos d = first; d < last; ++d) {
      squares += double{values[d]} * double{values[d]};
      largest = std::max(largest, std::fabs(double{values[d]}));
    }
    if (squares == 0) continue;
    const double scale = std::min(norm / std::sqrt(squares), 32767.0 / largest);
    for (Pos d = first; d < last; ++d) {
      rounded[static_cast<std::size_t>(d)] = std::nearbyint(double{values[d]} * scale) / scale;
    }
  }
  return rounded;
}

/// The same product in 16-bit fixed point: fp64 in everything but the rounding of parameters and token.
///
/// Requires  finite inputs; `order`: 0 rounds on the very grid of the fast path, others on grids up to 6 % coarser,
///           equally plain, where what is rounded happens to lie well on one of them
inline std::vector<double> linear_token_fixed(const LinearInputs& in, Pos t, Pos order = 0) {
  const double norm = 46000.0 * (1.0 - static_cast<double>(order) * 0x1p-10);
  const std::vector<double> x = rounded_chunks(in.token(t), in.dim, norm);
  std::vector<double> y(static_cast<std::size_t>(in.n_rows), 0.0);
  for (Pos r = 0; r < in.n_rows; ++r) {
    const std::vector<double> row = rounded_chunks(in.row(r), in.dim, norm);
    for (std::size_t d = 0; d < row.size(); ++d) y[static_cast<std::size_t>(r)] += row[d] * x[d];
  }
  return y;
}

/// The same product in bf16 tiles (kernel/linear_bf16.h): fp64 in everything but the rounding. A number is the bf16
/// nearest to it (high), and what that leaves out rounded once more (low).
///   terms 1: high high;  2: and token low x params high;  3: and token high x params low
///
/// Requires  numbers as in rounded_to_bf16; `order`: as in linear_token_fixed, the grid shifted by up to half a power
///           of two
inline std::vector<double> linear_token_bf16(const LinearInputs& in, Pos t, int terms, Pos order = 0) {
  const double shift = 1.0 + static_cast<double>(order) * 0x1p-7;
  const auto high = [shift](double value) { return rounded_to_bf16(value * shift) / shift; };
  std::vector<double> y(static_cast<std::size_t>(in.n_rows), 0.0);
  for (Pos d = 0; d < in.dim; ++d) {
    const double x = in.token(t)[d], x_high = high(x), x_low = high(x - x_high);
    for (Pos r = 0; r < in.n_rows; ++r) {
      const double param = in.row(r)[d], param_high = high(param);
      double& sum = y[static_cast<std::size_t>(r)];
      sum += param_high * x_high;
      if (terms > 1) sum += param_high * x_low;
      if (terms > 2) sum += high(param - param_high) * x_high;
    }
  }
  return y;
}

/// The same product as linear_few rounds it: each 4 elements of a token to 8 bits, their largest to 127; fp64 in
/// everything else. `order`: as in linear_token_fixed, their largest to a little less.
inline std::vector<double> linear_token_few(const LinearInputs& in, Pos t, Pos order = 0) {
  constexpr Pos kTogether = 4;
  const double most = 127.0 - static_cast<double>(order) * 0.25;
  std::vector<double> y(static_cast<std::size_t>(in.n_rows), 0.0);
  for (Pos first = 0; first < in.dim; first += kTogether) {
    double largest = 0;
    for (Pos d = first; d < std::min(in.dim, first + kTogether); ++d)
      largest = std::max(largest, std::fabs(double{in.token(t)[d]}));
    if (largest == 0) continue;
    for (Pos d = first; d < std::min(in.dim, first + kTogether); ++d) {
      const double x = std::nearbyint(double{in.token(t)[d]} / largest * most) * largest / most;
      for (Pos r = 0; r < in.n_rows; ++r) y[static_cast<std::size_t>(r)] += double{in.row(r)[d]} * x;
    }
  }
  return y;
}

}  // namespace saccade::oracle
