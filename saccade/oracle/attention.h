#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "saccade/base/view.h"

namespace saccade::oracle {

/// What attention reads, decoded from its storage types (every DType decodes to f32 without rounding), so that storage
/// error is never blamed on arithmetic.
struct Inputs {
  Pos q_len = 0, kv_len = 0, n_heads = 1, n_kv_heads = 1, head_dim = 0;
  Pos head_dim_v = 0;              ///< 0: as head_dim
  std::vector<float> q;            ///< [q_len, n_heads, head_dim]
  std::vector<float> k, v;         ///< [kv_len, n_kv_heads, head_dim or head_dim_v]
  std::vector<int> kv_head;        ///< [n_heads]: whom each query head reads
  std::vector<float> bias;         ///< [q_len, kv_len], added to every score, -inf hides; empty: none
  std::vector<float> slopes;       ///< [n_heads]: multiplies the bias; empty: 1
  std::vector<float> sink_scores;  ///< [n_heads]: one more score, without a value; empty: none
  float scale = 0.0F;
  Pos q_begin = 0;  ///< position of the first query; the key in slot j has position j

  const float* q_row(Pos i, Pos head) const { return q.data() + (i * n_heads + head) * head_dim; }
  const float* k_row(Pos j, Pos head) const { return k.data() + (j * n_kv_heads + kv_head_of(head)) * head_dim; }
  const float* v_row(Pos j, Pos head) const { return v.data() + (j * n_kv_heads + kv_head_of(head)) * v_dim(); }
  Pos kv_head_of(Pos head) const { return kv_head[static_cast<std::size_t>(head)]; }
  Pos v_dim() const { return head_dim_v == 0 ? head_dim : head_dim_v; }
  float slope(Pos head) const { return slopes.empty() ? 1.0F : slopes[static_cast<std::size_t>(head)]; }
  float sink_score(Pos head) const {
    return sink_scores.empty() ? -std::numeric_limits<float>::infinity() : sink_scores[static_cast<std::size_t>(head)];
  }
};

/// The result of one row: one query, one head.
template <class T>
struct Row {
  std::vector<T> o;  ///< [head_dim_v]
  T lse = -std::numeric_limits<T>::infinity();
  std::vector<Pos> seen;        ///< the keys that took part
  std::vector<T> weights = {};  ///< what each of them weighed, where a definition rounds scores or weights; else empty
};

/// q.k in T, one product after the other: from element order / 2 on, backwards if `order` is odd, round the end.
template <class T>
T dot_of(const float* q, const float* k, Pos dim, Pos order) {
  const Pos step = order % 2 == 0 ? 1 : dim - 1;  // dim - 1 forwards on a ring is one backwards
  Pos c = (order / 2 + (order % 2 == 0 ? 0 : dim - 1)) % dim;
  T dot = 0;
  for (Pos n = 0; n < dim; ++n) {
    dot += T{q[c]} * T{k[c]};
    c += step;
    if (c >= dim) c -= dim;
  }
  return dot;
}

/// Softmax attention of one row, written down as it is defined; slow on purpose.
///   score = shape(scale q.k) + slope bias, over the visible keys;  lse = log(sum exp(score) + exp(sink score))
///   o = sum exp(score - lse) v
/// T = double is the oracle. T = float is the "plain loop" that a tolerance is measured with.
///
/// Shapes    i in [0, q_len), head in [0, n_heads)
/// Units     lse in natural log; a row that sees no key has o = 0, lse = its sink score, or -inf
/// Requires  bool visible(Pos q_pos, Pos k_pos): the definition of what is seen; T shape(T score): soft cap or nothing
///           order: of the products in a dot (dot_of); for T = float, where two orders round differently
/// Errors    none
/// Accuracy  T = double: about kv_len eps(f64); one key after the other, one product after the other
/// Cost      2 kv_len (head_dim + head_dim_v) FLOP; one row of scores
/// Source    FlashAttention-2, arXiv:2307.08691, section 2.2, "standard attention"; ALiBi, arXiv:2108.12409; a sink
/// score as in
///           gpt-oss
template <class T, class Visible, class Shape>
Row<T> attend_row(const Inputs& in, Pos i, Pos head, const Visible& visible, const Shape& shape, Pos order = 0) {
  constexpr T kNothing = -std::numeric_limits<T>::infinity();
  const Pos q_pos = in.q_begin + i;
  Row<T> row;
  row.o.assign(static_cast<std::size_t>(in.v_dim()), T{0});

  std::vector<T> scores;
  T row_max = kNothing;
  for (Pos j = 0; j < in.kv_len; ++j) {
    if (!visible(q_pos, j)) continue;
    const T bias = in.bias.empty() ? T{0} : T{in.bias[static_cast<std::size_t>(i * in.kv_len + j)]};
    if (bias == kNothing) continue;
    const T dot = dot_of<T>(in.q_row(i, head), in.k_row(j, head), in.head_dim, order);
    const T score = shape(T{in.scale} * dot) + T{in.slope(head)} * bias;
    row.seen.push_back(j);
    scores.push_back(score);
    if (score > row_max || std::isnan(score)) row_max = score;
  }
  const T sink = T{in.sink_score(head)};
  if (row.seen.empty()) {
    row.lse = sink;
    return row;
  }
  if (sink > row_max || std::isnan(sink)) row_max = sink;

  T row_sum = sink == kNothing ? T{0} : std::exp(sink - row_max);
  for (T& score : scores) row_sum += score = std::exp(score - row_max);  // from here on a weight, not yet normalised
  for (std::size_t n = 0; n < scores.size(); ++n) {
    const float* v = in.v_row(row.seen[n], head);
    for (std::size_t c = 0; c < row.o.size(); ++c) row.o[c] += scores[n] * T{v[c]};
  }
  for (T& o : row.o) o /= row_sum;
  row.lse = row_max + std::log(row_sum);
  return row;
}

/// The definition of a merge over disjoint keys, on one row; T as above.
///   lse = log(exp(a.lse) + exp(b.lse));  o = exp(a.lse - lse) a.o + exp(b.lse - lse) b.o
/// Source: Rabe & Staats 2021, arXiv:2112.05682.
template <class T>
Row<T> merge_rows(const Row<T>& a, const Row<T>& b) {
  if (a.lse == -std::numeric_limits<T>::infinity()) return b;
  if (b.lse == -std::numeric_limits<T>::infinity()) return a;
  const T high = a.lse > b.lse ? a.lse : b.lse;
  Row<T> row;
  row.lse = high + std::log(std::exp(a.lse - high) + std::exp(b.lse - high));
  for (std::size_t c = 0; c < a.o.size(); ++c) {
    row.o.push_back(std::exp(a.lse - row.lse) * a.o[c] + std::exp(b.lse - row.lse) * b.o[c]);
  }
  return row;
}

}  // namespace saccade::oracle
