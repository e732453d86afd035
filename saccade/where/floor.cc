#include "saccade/where/floor.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "saccade/where/choice.h"
#include "saccade/where/dense.h"
#include "saccade/where/parts/parallel.h"
#include "saccade/where/parts/scores.h"

namespace saccade::where {
namespace {

constexpr Pos kKeys = 256;  // at a time: with 8 rows, scores and keys of head_dim 128 take 136 KiB, which L2 holds

/// Softmax over keys that come a few at a time, and how much of it lies on the keys of a pattern.
class Recovered {
 public:
  /// `seen`: a bit for each key.
  void add(const float* scores, Pos n, const std::uint32_t* seen) {
    const float most = std::max(most_, *std::max_element(scores, scores + n));
    if (most > most_) {
      const double rescale = std::exp(static_cast<double>(most_) - static_cast<double>(most));
      all_ *= rescale, some_ *= rescale;
      most_ = most;
    }
    for (Pos j = 0; j < n; ++j) {
      const auto weight = static_cast<double>(std::exp(scores[j] - most_));
      all_ += weight;
      if ((seen[j / 32] >> (j % 32) & 1U) != 0) some_ += weight;
    }
  }
  /// NaN when a score was.
  double mass() const { return some_ / all_; }

 private:
  float most_ = -std::numeric_limits<float>::infinity();
  double all_ = 0, some_ = 0;
};

/// The rows of the call that are looked at, ascending, the last one among them.
std::vector<Pos> sampled_rows(Pos q_len, Pos n_rows) {
  const Pos n = std::min(q_len, n_rows);
  std::vector<Pos> rows;
  for (Pos r = 1; r <= n; ++r) rows.push_back(r * q_len / n - 1);
  return rows;
}

double mean_mass(const SelectCall& call, int head, const Where& where, const std::vector<Pos>& rows) {
  Rows q{static_cast<Pos>(rows.size()), call.q.dim, {}};
  for (const Pos i : rows) {
    const Rows one = load(call.q, head, {i, i + 1});
    q.values.insert(q.values.end(), one.values.begin(), one.values.end());
  }
  std::vector<Recovered> recovered(rows.size());
  std::vector<float> scores(rows.size() * kKeys);
  for (Pos begin = 0; begin < call.q_end(); begin += kKeys) {
    const Rows k =
        load(call.k, call.kv_head[static_cast<std::size_t>(head)], {begin, std::min(begin + kKeys, call.q_end())});
    multiply(q, k, call.scale, scores.data());
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const Pos q_pos = call.q_begin + rows[r], n = std::min(k.n, q_pos + 1 - begin);
      if (n <= 0) continue;
      float* const row = scores.data() + static_cast<Pos>(r) * k.n;
      for (Pos j = 0; j < n && call.softcap > 0; ++j) row[j] = call.softcap * std::tanh(row[j] / call.softcap);
      std::uint32_t seen[kKeys / 32];
      where.mask(q_pos, {begin, begin + n}, seen);
      recovered[r].add(row, n, seen);
    }
  }
  double sum = 0;
  for (const Recovered& one : recovered) sum += one.mass();
  return sum / static_cast<double>(rows.size());
}

bool is_dense(const Where& where, const SelectCall& call) {
  static const WherePtr dense = make_where(Dense{});
  const Range queries{call.q_begin, call.q_end()};
  return estimated_pairs(where, queries, call.k.len) >= estimated_pairs(*dense, queries, call.k.len);
}

}  // namespace

void Floor::review(const SelectCall& call, Selection& chosen) const {
  const std::vector<Pos> sampled = sampled_rows(call.q.len, rows);
  std::vector<std::size_t> measured;
  for (std::size_t i = 0; i < chosen.of_head.size(); ++i) {
    if (!is_dense(*chosen.of_head[i], call)) measured.push_back(i);
  }
  std::vector<double> masses(measured.size());
  parallel_for_or_throw(*call.team, static_cast<Pos>(measured.size()), [&](Pos item) {
    const std::size_t i = measured[static_cast<std::size_t>(item)];
    masses[static_cast<std::size_t>(item)] = mean_mass(call, call.heads[i], *chosen.of_head[i], sampled);
  });
  const WherePtr dense = make_where(Dense{});
  for (std::size_t item = 0; item < measured.size(); ++item) {
    chosen.cost.flop += 2 * static_cast<std::int64_t>(sampled.size()) * call.q_end() * call.q.dim;
    if (masses[item] >= mass) continue;  // NaN is not
    chosen.of_head[measured[item]] = dense;
    ++chosen.n_dense_by_floor;
  }
}

}  // namespace saccade::where
