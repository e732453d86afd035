#include "saccade/judge/mass.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "saccade/base/random.h"
#include "saccade/where/parts/scores.h"

namespace saccade::judge {
namespace {

/// Keys that are scored and mixed at once: their rows and those of the values stay in a core's cache.
constexpr Pos kChunk = 512;

constexpr float kNothing = -std::numeric_limits<float>::infinity();

Pos kv_head_of(const AttendCall& call, int head) {
  if (!call.kv_head.empty()) return call.kv_head[static_cast<std::size_t>(head)];
  return head * call.k.n_heads / call.q.n_heads;
}

float shaped(float score, float softcap) { return softcap > 0 ? softcap * std::tanh(score / softcap) : score; }

Range chunk_of(Pos chunk, Pos kv_len) { return {chunk * kChunk, std::min(kv_len, (chunk + 1) * kChunk)}; }

/// The rows' queries: [n, head_dim].
Rows queries_of(const AttendCall& call, int head, std::span<const Pos> rows) {
  Rows queries{.n = static_cast<Pos>(rows.size()), .dim = call.q.dim, .values = {}};
  for (const Pos row : rows) {
    const Rows one = load(call.q, head, {row, row + 1});
    queries.values.insert(queries.values.end(), one.values.begin(), one.values.end());
  }
  return queries;
}

/// Fills dense.weights with scores.
void score_keys(const AttendCall& call, int head, DenseRows& dense, Team& team) {
  const Rows queries = queries_of(call, head, dense.rows);
  const Pos kv_head = kv_head_of(call, head);
  parallel_for(team, (dense.kv_len + kChunk - 1) / kChunk, [&](Pos chunk, int) {
    const Range keys = chunk_of(chunk, dense.kv_len);
    std::vector<float> scores(static_cast<std::size_t>(queries.n * keys.size()));
    multiply(queries, load(call.k, kv_head, keys), call.scale, scores.data());
    for (Pos i = 0; i < queries.n; ++i) {
      for (Pos j = 0; j < keys.size(); ++j) {
        dense.weights[static_cast<std::size_t>(i * dense.kv_len + keys.begin + j)] =
            shaped(scores[static_cast<std::size_t>(i * keys.size() + j)], call.softcap);
      }
    }
  });
}

/// Scores to weights in place; what lies beyond the row's own position becomes 0. Returns how much of a result the
/// keys have beside a sink score.
double normalise(std::span<float> row, Pos n_visible, float sink_score) {
  const auto seen = row.first(static_cast<std::size_t>(n_visible));
  std::fill(row.begin() + n_visible, row.end(), 0.0F);
  float most = sink_score;
  for (const float score : seen) most = score > most || std::isnan(score) ? score : most;
  if (most == kNothing) {
    std::ranges::fill(seen, 0.0F);
    return 0;
  }
  double sum = 0;
  for (float& score : seen) sum += score = std::exp(score - most);
  const auto inverse = static_cast<float>(1 / sum);
  for (float& weight : seen) weight *= inverse;
  return sum / (sum + std::exp(static_cast<double>(sink_score) - most));
}

/// dense.o = weights v, by chunks that are added up in order.
void mix_values(const AttendCall& call, int head, DenseRows& dense, Team& team) {
  const Pos n = dense.size(), dim = dense.dim_v, n_chunks = (dense.kv_len + kChunk - 1) / kChunk;
  std::vector<float> parts(static_cast<std::size_t>(n_chunks * n * dim));
  const Pos kv_head = kv_head_of(call, head);
  parallel_for(team, n_chunks, [&](Pos chunk, int) {
    const Range keys = chunk_of(chunk, dense.kv_len);
    const Rows values = load(call.v, kv_head, keys);
    Rows weights{.n = n, .dim = keys.size(), .values = {}};
    Rows across{.n = dim, .dim = keys.size(), .values = std::vector<float>(values.values.size())};
    for (Pos i = 0; i < n; ++i) {
      const auto first = dense.weights.begin() + i * dense.kv_len + keys.begin;
      weights.values.insert(weights.values.end(), first, first + keys.size());
    }
    for (Pos j = 0; j < keys.size(); ++j) {
      for (Pos c = 0; c < dim; ++c) across.row(c)[j] = values.row(j)[c];
    }
    multiply(weights, across, 1.0F, parts.data() + chunk * n * dim);
  });
  for (std::size_t at = 0; at < parts.size(); ++at) dense.o[at % dense.o.size()] += parts[at];
}

/// What blocks of 128 drawn at random would recover with n_chosen keys, on average: the row's own block is always
/// among them, and any other key is as likely as the next.
double mass_of_random(std::span<const float> weights, Pos n_chosen) {
  constexpr Pos kBlock = 128;
  const auto n = static_cast<Pos>(weights.size()), own = (n - 1) % kBlock + 1;
  double own_mass = 0, rest = 0;
  for (Pos j = 0; j < n - own; ++j) rest += weights[static_cast<std::size_t>(j)];
  for (Pos j = n - own; j < n; ++j) own_mass += weights[static_cast<std::size_t>(j)];
  if (n_chosen <= own) return own_mass * static_cast<double>(n_chosen) / static_cast<double>(own);
  return own_mass + rest * static_cast<double>(n_chosen - own) / static_cast<double>(n - own);
}

/// Adds one row.
void judge_row(const DenseRows& dense, Pos i, const Where& where, std::vector<std::uint32_t>& words, HeadMass& out) {
  const auto weights = dense.weights_of(i);
  const auto n = static_cast<Pos>(weights.size());
  words.resize(static_cast<std::size_t>((n + 31) / 32));
  where.mask(dense.q_pos(i), {0, n}, words.data());
  Pos n_chosen = 0;
  double mass = 0;
  for (Pos j = 0; j < n; ++j) {
    if ((words[static_cast<std::size_t>(j / 32)] >> (j % 32) & 1U) == 0) continue;
    ++n_chosen;
    mass += weights[static_cast<std::size_t>(j)];
  }
  ++out.n_rows;
  out.pairs_chosen += n_chosen;
  out.pairs_visible += n;
  out.mass_sum += mass;
  if (n == 0) return;
  out.random_sum += mass_of_random(weights, n_chosen);
  out.uniform_sum += static_cast<double>(n_chosen) / static_cast<double>(n);
  if (dense.sorted.empty()) return;
  double oracle = 0;
  for (const float weight : dense.sorted_of(i).first(static_cast<std::size_t>(n_chosen))) oracle += weight;
  out.oracle_sum += oracle;
}

}  // namespace

std::vector<Pos> sample_rows(Pos q_len, Pos n_rows, std::uint64_t seed) {
  n_rows = std::min(n_rows, q_len);
  Random random(seed);
  std::vector<Pos> rows;
  for (Pos i = 0; i < n_rows; ++i) {
    const Pos begin = i * q_len / n_rows, end = (i + 1) * q_len / n_rows;
    rows.push_back(seed == 0 ? begin + (end - begin) / 2 : random.between(begin, end - 1));
  }
  return rows;
}

DenseRows dense_rows(const AttendCall& call, int head, std::span<const Pos> rows, Team& team, bool sort) {
  DenseRows dense{.q_begin = call.q_begin,
                  .kv_len = call.k.len,
                  .dim_v = call.v.dim,
                  .rows = {rows.begin(), rows.end()},
                  .weights = {},
                  .sorted = {},
                  .o = {},
                  .share = std::vector<double>(rows.size(), 0.0)};
  dense.weights.resize(static_cast<std::size_t>(dense.size() * dense.kv_len));
  dense.o.resize(static_cast<std::size_t>(dense.size() * dense.dim_v));
  if (dense.weights.empty()) return dense;
  score_keys(call, head, dense, team);
  const float sink = call.sink_scores.empty() ? kNothing : call.sink_scores[static_cast<std::size_t>(head)];
  const auto row_of = [&](std::vector<float>& all, Pos i) {
    return std::span(all).subspan(static_cast<std::size_t>(i * dense.kv_len), static_cast<std::size_t>(dense.kv_len));
  };
  if (sort) dense.sorted.resize(dense.weights.size());
  parallel_for(team, dense.size(), [&](Pos i, int) {
    const auto row = row_of(dense.weights, i);
    dense.share[static_cast<std::size_t>(i)] = normalise(row, dense.n_visible(i), sink);
    if (!sort) return;
    const auto sorted = row_of(dense.sorted, i);
    std::ranges::copy(row, sorted.begin());
    // A NaN is compared as the largest, so that there is an order.
    std::ranges::sort(sorted, [](float a, float b) { return a > b || (std::isnan(a) && !std::isnan(b)); });
  });
  mix_values(call, head, dense, team);
  for (std::size_t at = 0; at < dense.o.size(); ++at) {
    dense.o[at] *= dense.share[at / static_cast<std::size_t>(dense.dim_v)];
  }
  return dense;
}

double HeadMass::output_error() const {
  if (o_squares > 0) return std::sqrt(error_squares / o_squares);
  return error_squares > 0 ? std::numeric_limits<double>::infinity() : 0.0;
}

HeadMass& HeadMass::operator+=(const HeadMass& more) {
  n_rows += more.n_rows;
  pairs_chosen += more.pairs_chosen;
  pairs_visible += more.pairs_visible;
  mass_sum += more.mass_sum;
  error_squares += more.error_squares;
  o_squares += more.o_squares;
  random_sum += more.random_sum;
  uniform_sum += more.uniform_sum;
  oracle_sum += more.oracle_sum;
  return *this;
}

HeadMass judge_head(const DenseRows& dense, int head, const Where& where, const MutableView& o) {
  HeadMass mass;
  std::vector<std::uint32_t> words;
  for (Pos i = 0; i < dense.size(); ++i) {
    judge_row(dense, i, where, words, mass);
    const float* const row = o.row(dense.rows[static_cast<std::size_t>(i)], head);
    for (Pos c = 0; c < dense.dim_v; ++c) {
      const double exact = dense.o[static_cast<std::size_t>(i * dense.dim_v + c)];
      mass.error_squares += (row[c] - exact) * (row[c] - exact);
      mass.o_squares += exact * exact;
    }
  }
  return mass;
}

std::vector<HeadMass> judge_call(const AttendCall& call, std::span<const Pos> rows, Team& team, bool bounds) {
  std::vector<HeadMass> heads;
  for (int head = 0; head < call.q.n_heads; ++head) {
    const DenseRows dense = dense_rows(call, head, rows, team, bounds);
    const Where& where = *call.where[call.where.size() == 1 ? 0 : static_cast<std::size_t>(head)];
    heads.push_back(judge_head(dense, head, where, call.o));
  }
  return heads;
}

}  // namespace saccade::judge
