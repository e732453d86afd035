#include "saccade/where/sparge.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "saccade/base/error.h"
#include "saccade/where/parts/dense_by_rule.h"
#include "saccade/where/parts/groups.h"
#include "saccade/where/parts/ladder.h"
#include "saccade/where/parts/lists.h"
#include "saccade/where/parts/memory.h"
#include "saccade/where/parts/parallel.h"
#include "saccade/where/parts/pool.h"
#include "saccade/where/parts/scores.h"
#include "saccade/where/parts/top.h"

namespace saccade::where {
namespace {

constexpr Pos kQueries = Sparge::kQueries, kKeys = Sparge::kKeys;

/// Blocks of rows of one head: their means, and whether these speak for them.
struct Blocks {
  Rows means;
  std::vector<char> alike;  ///< [means.n]; not bool: workers write neighbours
};

/// Blocks of whom nothing but a mean is asked: those are alike whose mean is a number.
std::vector<char> have_means(const Rows& means) {
  std::vector<char> alike;
  for (Pos t = 0; t < means.n; ++t) {
    const float* const mean = means.row(t);
    alike.push_back(std::all_of(mean, mean + means.dim, [](float x) { return std::isfinite(x); }) ? 1 : 0);
  }
  return alike;
}

/// Whether blocks [blocks.begin, blocks.end) of a head, by their absolute numbers, are alike.
void compare(const View& view, Pos head, Pos block, Range rows, Pos view_begin, Range blocks, const float* centre,
             double theta, char* alike) {
  for (Pos t = blocks.begin; t < blocks.end; ++t) {
    const Pos begin = std::max(t * block, rows.begin), end = std::min((t + 1) * block, rows.end);
    const Rows some = load(view, head, {begin - view_begin, end - view_begin});
    *alike++ = self_similarity(some.values.data(), some.n, some.dim, centre) > theta ? 1 : 0;
  }
}

/// The mean of all rows, from the means of their blocks.
std::vector<float> mean_of(const Rows& means, Pos block, Pos len) {
  std::vector<double> sum(static_cast<std::size_t>(means.dim), 0.0);
  for (Pos t = 0; t < means.n; ++t) {
    const auto n = static_cast<double>(std::min(block, len - t * block));
    for (Pos c = 0; c < means.dim; ++c) sum[static_cast<std::size_t>(c)] += n * double{means.row(t)[c]};
  }
  std::vector<float> mean;
  for (const double x : sum) mean.push_back(static_cast<float>(x / static_cast<double>(len)));
  return mean;
}

/// Whether the blocks of keys with these means are alike. Cosines are never below 0: under a theta that is, nobody need
/// look at the keys again.
std::vector<char> compare_keys(const SelectCall& call, int kv_head, const Rows& means, double theta) {
  if (theta < 0) return have_means(means);
  constexpr Pos kTogether = 16;  // blocks an item takes on
  const Pos len = call.q_end();
  const std::vector<float> centre = mean_of(means, kKeys, len);
  std::vector<char> alike(static_cast<std::size_t>(means.n));
  parallel_for_or_throw(*call.team, (means.n + kTogether - 1) / kTogether, [&](Pos item) {
    const Range blocks{item * kTogether, std::min(means.n, (item + 1) * kTogether)};
    compare(call.k, kv_head, kKeys, {0, len}, 0, blocks, centre.data(), theta, alike.data() + blocks.begin);
  });
  return alike;
}

std::vector<char> compare_queries(const SelectCall& call, int head, const Rows& means, Range blocks, double theta) {
  if (theta < 0) return have_means(means);
  const std::vector<float> origin(static_cast<std::size_t>(call.q.dim), 0.0F);
  std::vector<char> alike(static_cast<std::size_t>(means.n));
  compare(call.q, head, kQueries, {call.q_begin, call.q_end()}, call.q_begin, blocks, origin.data(), theta,
          alike.data());
  return alike;
}

/// Scores of the mean of a block of queries with the means of the blocks of keys it may see, to weights, in place.
void weigh(std::span<float> scores, std::span<const char> alike) {
  for (std::size_t t = 0; t < scores.size(); ++t) {
    if (!alike[t]) scores[t] = -std::numeric_limits<float>::infinity();
  }
  softmax(scores);
}

/// Of each block of keys the first tau whose list for a block of queries has it.
std::vector<std::uint8_t> levels_of(const Sparge& rule, std::span<const double> taus, std::span<const float> weights,
                                    std::span<const char> alike, std::size_t n_own) {
  std::vector<std::uint8_t> levels = top_p_levels(weights, taus, Crossing::kExclude);
  levels[static_cast<std::size_t>(std::ranges::max_element(weights) - weights.begin())] = 0;  // heavier alone than tau
  std::fill(levels.end() - static_cast<std::ptrdiff_t>(n_own), levels.end(), std::uint8_t{0});
  if (rule.sink) levels[0] = 0;
  for (std::size_t t = 0; t < alike.size(); ++t) {
    if (!alike[t]) levels[t] = 0;
  }
  return levels;
}

/// The means of the blocks of queries of each of call.heads. All heads of a block together, for they are neighbours in
/// memory.
std::vector<Rows> query_means(const SelectCall& call) {
  const Range rows{call.q_begin, call.q_end()};
  const Pos first = rows.begin / kQueries, n = (rows.end + kQueries - 1) / kQueries - first, dim = call.q.dim;
  std::vector<Rows> means(call.heads.size(), Rows{n, dim, std::vector<float>(static_cast<std::size_t>(n * dim))});
  parallel_for_or_throw(*call.team, n, [&](Pos i) {
    const Range some{std::max(rows.begin, (first + i) * kQueries), std::min(rows.end, (first + i + 1) * kQueries)};
    for (std::size_t head = 0; head < call.heads.size(); ++head) {
      const Rows mean = mean_of_blocks(call.q, call.heads[head], kQueries, some, call.q_begin);
      std::ranges::copy(mean.values, means[head].row(i));
    }
  });
  return means;
}

/// A pattern for each tau.
std::vector<WherePtr> choose_head(const Sparge& rule, const SelectCall& call, int head, const Rows& means,
                                  const Blocks& keys, std::span<const double> taus) {
  const Range rows{call.q_begin, call.q_end()};
  const Range blocks{rows.begin / kQueries, (rows.end + kQueries - 1) / kQueries};
  const std::vector<char> alike = compare_queries(call, head, means, blocks, rule.theta);
  std::vector<float> scores(static_cast<std::size_t>(means.n * keys.means.n));
  multiply(means, keys.means, call.scale, scores.data());
  std::vector<Lists> lists(taus.size());
  std::vector<std::int32_t> everything(static_cast<std::size_t>(keys.means.n));
  std::iota(everything.begin(), everything.end(), 0);
  for (Pos u = blocks.begin; u < blocks.end; ++u) {
    const Pos i = u - blocks.begin, end = std::min((u + 1) * kQueries, rows.end);
    const auto n = static_cast<std::size_t>((end + kKeys - 1) / kKeys);
    if (!alike[static_cast<std::size_t>(i)]) {
      for (Lists& some : lists) some.add(std::span(everything).first(n));
      continue;
    }
    const std::span weights(scores.data() + i * keys.means.n, n);
    const std::span of_keys = std::span(keys.alike).first(n);
    weigh(weights, of_keys);
    const auto levels = levels_of(rule, taus, weights, of_keys, n - static_cast<std::size_t>(u * kQueries / kKeys));
    for (std::size_t rung = 0; rung < taus.size(); ++rung) lists[rung].add(up_to(levels, rung));
  }
  std::vector<WherePtr> patterns;
  for (Lists& some : lists) {
    patterns.push_back(std::make_shared<BlockLists>(kQueries, kKeys, blocks.begin, std::move(some)));
  }
  return patterns;
}

/// Appends a selection for each tau.
void choose_each(const Sparge& rule, const SelectCall& call, std::span<const double> taus,
                 std::vector<Selection>& out) {
  KeyMemory forgetful;
  const KeyMeans& pool = (call.memory != nullptr ? *call.memory : forgetful).means(call, kKeys);
  std::map<int, Blocks> keys;
  for (const auto& [kv_head, places] : places_by_kv_head(call)) {
    Rows means{pool.n_blocks, pool.dim, pool.of_head[static_cast<std::size_t>(kv_head)]};
    std::vector<char> alike = compare_keys(call, kv_head, means, rule.theta);
    keys[kv_head] = {std::move(means), std::move(alike)};
  }
  const std::vector<Rows> means = query_means(call);
  const std::span<Selection> rungs = add_rungs(taus.size(), call.heads.size(), out);
  parallel_for_or_throw(*call.team, static_cast<Pos>(call.heads.size()), [&](Pos item) {
    const auto i = static_cast<std::size_t>(item);
    const int head = call.heads[i];
    const Blocks& read = keys.at(call.kv_head[static_cast<std::size_t>(head)]);
    const auto patterns = choose_head(rule, call, head, means[i], read, taus);
    for (std::size_t rung = 0; rung < taus.size(); ++rung) rungs[rung].of_head[i] = patterns[rung];
  });
  const Pos n_pairs = (call.q.len / kQueries + 1) * (call.q_end() / kKeys + 1);
  const auto n_kv_heads = static_cast<Pos>(keys.size());
  const Pos n_keys = rule.theta < 0 ? call.q.len : 3 * call.q_end();  // means of the new ones, or cosines of all
  const auto row = static_cast<std::int64_t>(row_bytes(call.k.dtype, call.k.dim));
  rungs[0].cost = {2 * call.q.dim * (n_pairs * static_cast<Pos>(call.heads.size()) + n_keys * n_kv_heads),
                   row * n_keys * n_kv_heads};
}

}  // namespace

float self_similarity(const float* rows, Pos n, Pos dim, const float* centre) {
  std::vector<float> sum(static_cast<std::size_t>(dim), 0.0F);
  for (Pos i = 0; i < n; ++i, rows += dim) {
    float square = 0.0F;
    for (Pos c = 0; c < dim; ++c) square += (rows[c] - centre[c]) * (rows[c] - centre[c]);
    const float to_unit = square == 0.0F ? 0.0F : 1.0F / std::sqrt(square);
    for (Pos c = 0; c < dim; ++c) sum[static_cast<std::size_t>(c)] += (rows[c] - centre[c]) * to_unit;
  }
  double square = 0.0;
  for (const float x : sum) square += double{x} * double{x};
  return static_cast<float>(square / static_cast<double>(n * n));
}

void Sparge::choose(const SelectCall& call, Selection& out) const {
  if (call.decodes()) return run_dense_by_rule(call, out);
  std::vector<Selection> one;
  choose_each(*this, call, {&tau, 1}, one);
  out = std::move(one.front());
}

void Sparge::climb(const SelectCall& call, std::vector<Selection>& rungs) const {
  if (call.decodes()) return run_dense_by_rule(call, rungs.emplace_back());
  choose_each(*this, call, kLadder, rungs);
}

void Sparge::check() const {
  if (!(tau > 0 && tau <= 1)) fail_user("where/sparge: tau must be > 0 and <= 1, got " + std::to_string(tau));
  if (!(theta >= -1 && theta <= 1)) {
    fail_user("where/sparge: theta must be >= -1 and <= 1, got " + std::to_string(theta));
  }
}

}  // namespace saccade::where
