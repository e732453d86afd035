#pragma once

#include <functional>

#include "saccade/base/buffer.h"
#include "saccade/base/team.h"
#include "saccade/where/parts/scores.h"

namespace saccade {

/// Rows that many others are multiplied with, laid out once: in 16-bit fixed point (kernel/fixed.h, one scale a row)
/// where the CPU has it, all of them are finite and their width is a multiple of 8, else in f32.
class RowTiles {
 public:
  /// Lays out n rows that `rows({begin, end})` gives, a few at a time, from any worker.
  RowTiles(Pos n, Pos dim, Team& team, const std::function<Rows(Range)>& rows);

  bool fixed() const { return fixed_; }
  /// The floats of a row of `multiply` up to row n_b: whole tiles.
  static Pos width(Pos n_b);

  /// out[i, j] = scale a_i . b_j for j < n_b, and anything up to width(n_b).
  ///
  /// Shapes    a [a.n, dim]; out [a.n, width(n_b)], 64-byte aligned
  /// Requires  n_b at most the number of rows laid out
  /// Accuracy  f32 sums, or fixed: off by about 1e-5 |scale| |a_i| |b_j|, never by more than sqrt(dim) / 32,000 of that
  ///           product; NaN for an a_i that is not finite, 0 for rows below 1e-18. The same bits wherever a row stands.
  /// Cost      2 a.n n_b dim FLOP; a tile of 48 rows is fetched once for all of a: some 64 rows make that cheap
  void multiply(Rows a, float scale, Pos n_b, float* out) const;

 private:
  template <class T>
  T* tile(Pos i) const;
  void lay_fixed(Pos tile, const Rows& some);

  Pos dim_;
  bool fixed_;
  Buffer tiles_, scales_;
};

}  // namespace saccade
