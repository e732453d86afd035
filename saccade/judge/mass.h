#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "saccade/attend/attend.h"
#include "saccade/base/team.h"

namespace saccade::judge {

/// Rows of a call at which it is judged: ascending, each once, one in each of n_rows equal parts of [0, q_len).
///
/// Requires  q_len >= 0, n_rows >= 0
/// Returns   min(n_rows, q_len) rows; the middle of each part for seed 0, anywhere in it for others
std::vector<Pos> sample_rows(Pos q_len, Pos n_rows, std::uint64_t seed = 0);

/// Exact causal attention of a few rows of one head, with the weight that it gives to every key.
struct DenseRows {
  Pos q_begin = 0, kv_len = 0, dim_v = 0;
  std::vector<Pos> rows;       ///< [n] of the call
  std::vector<float> weights;  ///< [n, kv_len]: over the keys of a row they sum to 1; 0 where the row sees no key
  std::vector<float> sorted;   ///< the same, largest first in each row; empty unless asked for
  std::vector<double> o;       ///< [n, dim_v]; a sink score takes its share of it, though not of the weights
  std::vector<double> share;   ///< [n]: how much of a row's result its keys have beside a sink score; 1 without one

  Pos size() const { return static_cast<Pos>(rows.size()); }
  Pos q_pos(Pos i) const { return q_begin + rows[static_cast<std::size_t>(i)]; }
  Pos n_visible(Pos i) const { return q_pos(i) < kv_len ? q_pos(i) + 1 : kv_len; }
  std::span<const float> weights_of(Pos i) const { return row_of(weights, i); }
  std::span<const float> sorted_of(Pos i) const { return row_of(sorted, i); }

 private:
  std::span<const float> row_of(const std::vector<float>& all, Pos i) const {
    return std::span(all).subspan(static_cast<std::size_t>(i * kv_len), static_cast<std::size_t>(n_visible(i)));
  }
};

/// Attends densely and exactly, whatever the call's own patterns.
///
/// Shapes    head in [0, call.q.n_heads); rows in [0, call.q.len); `sort`: fill DenseRows::sorted too
/// Requires  a call as attend() takes it, without a bias; finite values
/// Errors    none; NaN and inf in queries and keys stay in the rows that look at them
/// Accuracy  scores in f32, sums over keys in f64; o as attend() in f32
/// Cost      2 (head_dim + dim_v) FLOP and one exp a pair; memory O(rows x kv_len). Same inputs give the same bits,
///           whatever the team.
/// Source    recovered mass, "attention recall": MInference, arXiv:2407.02490, section 3; SeerAttention, 2410.13276
DenseRows dense_rows(const AttendCall& call, int head, std::span<const Pos> rows, Team& team, bool sort = false);

/// How well one head is served by the keys that were chosen for it: sums over sampled rows, so that calls can be added.
struct HeadMass {
  Pos n_rows = 0;
  std::int64_t pairs_chosen = 0, pairs_visible = 0;
  double mass_sum = 0, error_squares = 0, o_squares = 0;
  double random_sum = 0, uniform_sum = 0, oracle_sum = 0;

  /// Pairs chosen / pairs that causal attention sees.
  double density() const { return ratio(static_cast<double>(pairs_chosen), static_cast<double>(pairs_visible)); }
  /// Share of dense attention's weight that lies on the chosen keys, mean over rows.
  double mass() const { return mean(mass_sum); }
  /// |o - o_dense| / |o_dense|, over rows and dim_v together.
  double output_error() const;
  /// What as many keys would recover in each row: blocks of 128 drawn as where/random draws them, the row's own first;
  /// single keys drawn uniformly (that is the row's density); the keys with the largest weights. Random and uniform
  /// are expected values over all draws, not one of them.
  double mass_random() const { return mean(random_sum); }
  double mass_uniform() const { return mean(uniform_sum); }
  double mass_oracle() const { return mean(oracle_sum); }

  HeadMass& operator+=(const HeadMass& more);

 private:
  static double ratio(double part, double of) { return of > 0 ? part / of : 1.0; }
  double mean(double sum) const { return ratio(sum, static_cast<double>(n_rows)); }
};

/// Judges what `where` chose for a head, and what came out of it.
///
/// Shapes    o [q_len, n_heads, dim_v], the call's results; read at the rows of `dense` only
/// Requires  a pattern that is causal; for mass_oracle, `dense` with `sorted` (else it stays 0)
/// Errors    none
/// Accuracy  f64 sums of f32 weights
/// Cost      one mask and one addition a pair
HeadMass judge_head(const DenseRows& dense, int head, const Where& where, const MutableView& o);

/// Every head of a call that attend() has run, with its own patterns, one head at a time.
///
/// Shapes    result [call.q.n_heads]
/// Requires, errors, accuracy, cost   as dense_rows and judge_head; memory O(rows x kv_len)
std::vector<HeadMass> judge_call(const AttendCall& call, std::span<const Pos> rows, Team& team, bool bounds = false);

}  // namespace saccade::judge
