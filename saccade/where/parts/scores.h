#pragma once

#include <span>
#include <vector>

#include "saccade/base/view.h"

namespace saccade {

/// Rows of numbers in f32, one after the other.
struct Rows {
  Pos n = 0, dim = 0;
  std::vector<float> values;  ///< [n, dim]

  float* row(Pos i) { return values.data() + i * dim; }
  const float* row(Pos i) const { return values.data() + i * dim; }
};

/// Copies rows of one head, converted to f32 (exactly, from any type a view may hold).
/// Requires  0 <= rows.begin <= rows.end <= view.len
Rows load(const View& view, Pos head, Range rows);

/// q.k for many rows at once: out[i, j] = scale a_i . b_j.
///
/// Shapes    a [a.n, dim], b [b.n, dim], out [a.n, b.n], contiguous; any dim (XAttention's rows are stride x head_dim)
/// Requires  a.dim == b.dim; callers keep a.n x b.n small: never q_len x kv_len
/// Accuracy  f32 sums; the same bits wherever a row stands
/// Cost      2 a.n b.n dim FLOP
void multiply(const Rows& a, const Rows& b, float scale, float* out);

/// Scores to weights that sum to 1, in place; -inf becomes 0, and a row of nothing else all 0.
/// Accuracy  f32, sums in a fixed order; NaN and +inf make the row NaN
void softmax(std::span<float> row);

}  // namespace saccade
