#include "saccade/where/flexprefill.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <string>

#include "saccade/base/error.h"
#include "saccade/where/parts/dense_by_rule.h"
#include "saccade/where/parts/ladder.h"
#include "saccade/where/parts/last_rows.h"
#include "saccade/where/parts/lists.h"
#include "saccade/where/parts/parallel.h"
#include "saccade/where/parts/pool.h"
#include "saccade/where/parts/top.h"

namespace saccade::where {
namespace {

constexpr Pos kBlock = Flexprefill::kBlock;

Pos blocks_of(Pos tokens) { return (tokens + kBlock - 1) / kBlock; }

/// Sums of neighbouring entries.
std::vector<float> sum_blocks(std::span<const float> entries) {
  std::vector<float> sums(static_cast<std::size_t>(blocks_of(static_cast<Pos>(entries.size()))), 0.0F);
  for (std::size_t i = 0; i < entries.size(); ++i) sums[i / kBlock] += entries[i];
  return sums;
}

/// What one head looks at: blocks of columns, blocks of diagonals, and pairs of blocks.
struct Found {
  std::vector<std::int32_t> columns, diagonals;
  std::vector<std::vector<std::int32_t>> pairs;  ///< of each query block; empty: none
};

/// The lists: every column a query block can see, each diagonal's block, its pairs.
Lists lists_of(const Found& found, Pos first, Pos end) {
  Lists lists;
  std::vector<std::int32_t> list;
  for (Pos u = first; u < end; ++u) {
    list.clear();
    for (const std::int32_t c : found.columns) {
      if (c <= u) list.push_back(c);
    }
    for (const std::int32_t o : found.diagonals) {
      if (o <= u) list.push_back(static_cast<std::int32_t>(u) - o);
    }
    if (!found.pairs.empty()) {
      const auto& more = found.pairs[static_cast<std::size_t>(u - first)];
      list.insert(list.end(), more.begin(), more.end());
    }
    std::ranges::sort(list);
    list.erase(std::unique(list.begin(), list.end()), list.end());
    lists.add(list);
  }
  return lists;
}

class Chooser {
 public:
  Chooser(const Flexprefill& rule, const SelectCall& call)
      : rule_(rule), call_(call), n_blocks_(blocks_of(call.q_end())), keys_(call) {}

  /// Means of the blocks of keys, once for the heads that share them.
  void pool_keys() {
    for (const int head : call_.heads) k_means_.try_emplace(kv_head(head));
    std::vector<std::pair<const int, Rows>*> all;
    for (auto& entry : k_means_) all.push_back(&entry);
    parallel_for_or_throw(*call_.team, static_cast<Pos>(all.size()), [&](Pos i) {
      auto& [head, means] = *all[static_cast<std::size_t>(i)];
      means = mean_of_blocks(call_.k, head, kBlock, {0, call_.q_end()});
    });
  }

  /// A pattern for each gamma.
  std::vector<WherePtr> choose(int head, std::span<const double> gammas, Buffer& room) const {
    const LastRows rows = look_at_last_rows(call_, keys_, head, kBlock, room);
    const auto size = static_cast<std::size_t>(call_.q_end());
    const std::span column(rows.column.data(), size), diagonal(rows.diagonal.data(), size);
    const std::vector<float> by_column = sum_blocks(column), by_diagonal = sum_blocks(diagonal);

    const bool query_aware = rule_.tau > 0 && distance(head, rows, by_column) < rule_.tau;
    constexpr std::int32_t kFirst[] = {0};  // the first column, the main diagonal
    const std::vector<float> map = query_aware ? pooled_map(head) : std::vector<float>{};
    const Pos first = call_.q_begin / kBlock;
    std::vector<Pos> n_columns(gammas.size(), least()), n_diagonals = n_columns;
    if (!query_aware) n_columns = budgets(column, gammas), n_diagonals = budgets(diagonal, gammas);
    std::vector<WherePtr> patterns;
    for (std::size_t i = 0; i < gammas.size(); ++i) {
      Found found;
      found.columns = top_k(by_column, n_columns[i], kFirst);
      found.diagonals = top_k(by_diagonal, n_diagonals[i], kFirst);
      if (query_aware) found.pairs = best_pairs(map, gammas[i]);
      patterns.push_back(std::make_shared<BlockLists>(kBlock, kBlock, first, lists_of(found, first, n_blocks_)));
    }
    return patterns;
  }

 private:
  int kv_head(int head) const { return call_.kv_head[static_cast<std::size_t>(head)]; }
  const Rows& k_means(int head) const { return k_means_.at(kv_head(head)); }
  Pos least() const { return blocks_of(rule_.min_budget); }
  Pos most() const { return rule_.max_budget == 0 ? n_blocks_ : blocks_of(rule_.max_budget); }

  std::vector<Pos> budgets(std::span<const float> entries, std::span<const double> gammas) const {
    std::vector<Pos> counts = counts_to_cover(entries, gammas);
    for (Pos& count : counts) count = std::clamp(count / kBlock + 1, least(), std::max(least(), most()));
    return counts;
  }

  /// Between where the last rows look and where their mean would have them look, in blocks of columns.
  double distance(int head, const LastRows& rows, std::span<const float> by_column) const {
    const Rows q = load(call_.q, head, {call_.q.len - rows.n_rows, call_.q.len});
    Rows mean{1, q.dim, std::vector<float>(static_cast<std::size_t>(q.dim), 0.0F)};
    for (Pos i = 0; i < q.n; ++i) {
      for (Pos c = 0; c < q.dim; ++c) mean.values[static_cast<std::size_t>(c)] += q.row(i)[c];
    }
    for (float& x : mean.values) x /= static_cast<float>(q.n);
    std::vector<float> estimate(by_column.size()), found(by_column.begin(), by_column.end());
    multiply(mean, k_means(head), call_.scale, estimate.data());
    softmax(estimate);
    for (float& x : found) x /= static_cast<float>(rows.n_rows);
    return sqrt_js(estimate, found);
  }

  /// The weights of mean queries on the means of the blocks they may see, [query blocks, n_blocks_].
  std::vector<float> pooled_map(int head) const {
    const Rows q = mean_of_blocks(call_.q, head, kBlock, {call_.q_begin, call_.q_end()}, call_.q_begin);
    const Pos first = call_.q_begin / kBlock;
    std::vector<float> map(static_cast<std::size_t>(q.n * n_blocks_));
    multiply(q, k_means(head), call_.scale, map.data());
    for (Pos i = 0; i < q.n; ++i) {
      const std::span row(map.data() + i * n_blocks_, static_cast<std::size_t>(n_blocks_));
      std::ranges::fill(row.subspan(static_cast<std::size_t>(first + i + 1)), -std::numeric_limits<float>::infinity());
      softmax(row);
    }
    return map;
  }

  /// The pairs of blocks that make up gamma of the pooled map.
  std::vector<std::vector<std::int32_t>> best_pairs(std::span<const float> map, double gamma) const {
    const Pos first = call_.q_begin / kBlock;
    std::vector<std::vector<std::int32_t>> pairs(map.size() / static_cast<std::size_t>(n_blocks_));
    for (const std::int32_t at : top_p(map, gamma, rule_.inclusive ? Crossing::kInclude : Crossing::kExclude)) {
      const auto i = static_cast<Pos>(at) / n_blocks_, t = static_cast<Pos>(at) % n_blocks_;
      if (t <= first + i) pairs[static_cast<std::size_t>(i)].push_back(static_cast<std::int32_t>(t));
    }
    return pairs;
  }

  const Flexprefill& rule_;
  const SelectCall& call_;
  Pos n_blocks_;
  LastRowsKeys keys_;
  std::map<int, Rows> k_means_;
};

}  // namespace

double sqrt_js(std::span<const float> p, std::span<const float> q) {
  const auto share = [](double x, double mean) { return x == 0.0 ? 0.0 : x * std::log(x / mean); };
  double sum = 0.0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double a = p[i], b = q[i], mean = (a + b) / 2;
    sum += share(a, mean) + share(b, mean);
  }
  return std::isnan(sum) ? sum : std::sqrt(std::max(0.0, sum / 2));
}

namespace {

/// Decode steps and short texts run dense.
bool runs_dense(const Flexprefill& rule, const SelectCall& call) {
  const bool is_short = call.q_end() <= std::max(2 * kBlock, blocks_of(rule.min_budget) * kBlock);
  return call.decodes() || (call.fallbacks && is_short);
}

/// Appends a selection for each gamma.
void choose_each(const Flexprefill& rule, const SelectCall& call, std::span<const double> gammas,
                 std::vector<Selection>& out) {
  Chooser chooser(rule, call);
  chooser.pool_keys();
  const std::span<Selection> rungs = add_rungs(gammas.size(), call.heads.size(), out);
  std::vector<Buffer> rooms(static_cast<std::size_t>(call.team->size()));
  parallel_for_or_throw(*call.team, static_cast<Pos>(call.heads.size()), [&](Pos item, int worker) {
    const auto i = static_cast<std::size_t>(item);
    const auto patterns = chooser.choose(call.heads[i], gammas, rooms[static_cast<std::size_t>(worker)]);
    for (std::size_t rung = 0; rung < gammas.size(); ++rung) rungs[rung].of_head[i] = patterns[rung];
  });
  const auto n_heads = static_cast<std::int64_t>(call.heads.size());
  rungs[0].cost = {2 * std::min(kBlock, call.q.len) * call.q_end() * call.q.dim * n_heads,
                   static_cast<std::int64_t>(row_bytes(call.k.dtype, call.k.dim)) * call.q_end() * n_heads};
}

}  // namespace

void Flexprefill::choose(const SelectCall& call, Selection& out) const {
  if (runs_dense(*this, call)) return run_dense_by_rule(call, out);
  std::vector<Selection> one;
  choose_each(*this, call, {&gamma, 1}, one);
  out = std::move(one.front());
}

void Flexprefill::climb(const SelectCall& call, std::vector<Selection>& rungs) const {
  if (runs_dense(*this, call)) return run_dense_by_rule(call, rungs.emplace_back());
  Flexprefill small = *this;
  small.min_budget = std::min(min_budget, kBlock);
  choose_each(small, call, kLadder, rungs);
}

void Flexprefill::check() const {
  if (!(gamma > 0 && gamma <= 1))
    fail_user("where/flexprefill: gamma must be > 0 and <= 1, got " + std::to_string(gamma));
  if (!(tau >= 0)) fail_user("where/flexprefill: tau must be >= 0, got " + std::to_string(tau));
  if (min_budget < 0) fail_user("where/flexprefill: min_budget must be >= 0, got " + std::to_string(min_budget));
  if (max_budget < 0) fail_user("where/flexprefill: max_budget must be >= 0, got " + std::to_string(max_budget));
  if (max_budget != 0 && max_budget < min_budget) {
    fail_user("where/flexprefill: max_budget must be 0 or >= min_budget, got " + std::to_string(max_budget) +
              " below " + std::to_string(min_budget));
  }
}

}  // namespace saccade::where
