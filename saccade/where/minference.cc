#include "saccade/where/minference.h"

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <numeric>

#include "saccade/base/error.h"
#include "saccade/where/parts/dense_by_rule.h"
#include "saccade/where/parts/groups.h"
#include "saccade/where/parts/last_rows.h"
#include "saccade/where/parts/lists.h"
#include "saccade/where/parts/parallel.h"
#include "saccade/where/parts/pool.h"
#include "saccade/where/parts/top.h"
#include "saccade/where/parts/vertical_slash.h"
#include "saccade/where/sink.h"
#include "saccade/where/window.h"

namespace saccade::where {
namespace {

constexpr Pos kBlock = Minference::kBlock;

std::vector<std::int32_t> first(Pos n) {
  std::vector<std::int32_t> numbers(static_cast<std::size_t>(n));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

/// The columns and diagonals with the largest sums; the first columns and the nearest diagonals always.
WherePtr vertical_slash(const Minference& rule, const LastRows& rows, Pos kv_len) {
  const Pos n_columns = std::min(kv_len, std::max(rule.vertical_size, Minference::kLeastColumns));
  const Pos n_diagonals = std::min(kv_len, std::max(rule.slash_size, Minference::kLeastDiagonals));
  const auto size = static_cast<std::size_t>(kv_len);
  const std::vector<std::int32_t> columns =
      top_k(std::span(rows.column).first(size), n_columns, first(std::min(n_columns, Minference::kLeastColumns)));
  const std::vector<std::int32_t> diagonals =
      top_k(std::span(rows.diagonal).first(size), n_diagonals, first(std::min(n_diagonals, Minference::kNearest)));
  return std::make_shared<VerticalSlash>(columns, diagonals);
}

/// The blocks with the largest q.k of means, the own one always.
WherePtr block_sparse(const Minference& rule, const SelectCall& call, int head, const Rows& k_means) {
  const Rows q_means = mean_of_blocks(call.q, head, kBlock, {call.q_begin, call.q_end()}, call.q_begin);
  std::vector<float> scores(static_cast<std::size_t>(q_means.n * k_means.n));
  multiply(q_means, k_means, call.scale, scores.data());
  const Pos first_block = call.q_begin / kBlock;
  Lists lists;
  for (Pos i = 0; i < q_means.n; ++i) {
    const Pos u = first_block + i;
    const std::int32_t own[] = {static_cast<std::int32_t>(u)};
    const std::span row(scores.data() + i * k_means.n, static_cast<std::size_t>(u + 1));
    lists.add(top_k(row, rule.n_blocks, own));
  }
  return std::make_shared<BlockLists>(kBlock, kBlock, first_block, std::move(lists));
}

void choose_by_last_rows(const Minference& rule, const SelectCall& call, Selection& out) {
  const LastRowsKeys keys(call);
  std::vector<Buffer> rooms(static_cast<std::size_t>(call.team->size()));
  parallel_for_or_throw(*call.team, static_cast<Pos>(call.heads.size()), [&](Pos i, int worker) {
    const auto at = static_cast<std::size_t>(i);
    const LastRows rows =
        look_at_last_rows(call, keys, call.heads[at], kBlock, rooms[static_cast<std::size_t>(worker)]);
    out.of_head[at] = vertical_slash(rule, rows, call.q_end());
  });
  const auto n_heads = static_cast<std::int64_t>(call.heads.size());
  out.cost = {2 * std::min(kBlock, call.q.len) * call.q_end() * call.q.dim * n_heads,
              static_cast<std::int64_t>(row_bytes(call.k.dtype, call.k.dim)) * call.q_end() * n_heads};
}

void choose_by_means(const Minference& rule, const SelectCall& call, Selection& out) {
  const auto groups = places_by_kv_head(call);
  std::vector<std::pair<int, std::vector<std::size_t>>> all(groups.begin(), groups.end());
  parallel_for_or_throw(*call.team, static_cast<Pos>(all.size()), [&](Pos item) {
    const auto& [kv_head, places] = all[static_cast<std::size_t>(item)];
    const Rows k_means = mean_of_blocks(call.k, kv_head, kBlock, {0, call.q_end()});
    for (const std::size_t at : places) out.of_head[at] = block_sparse(rule, call, call.heads[at], k_means);
  });
  const Pos n_q = (call.q.len + kBlock - 1) / kBlock, n_k = (call.q_end() + kBlock - 1) / kBlock;
  out.cost = {2 * n_q * n_k * call.q.dim * static_cast<std::int64_t>(call.heads.size()),
              static_cast<std::int64_t>(row_bytes(call.k.dtype, call.k.dim)) * call.q_end() *
                  static_cast<std::int64_t>(all.size())};
}

}  // namespace

void Minference::choose(const SelectCall& call, Selection& out) const {
  if (call.decodes()) return run_dense_by_rule(call, out);
  if (pattern == "a_shape") {
    out.of_head.assign(call.heads.size(), unite({make_where(Sink{n_sink}), make_where(Window{window})}));
    out.scope = Scope::kLayer;
    return;
  }
  out.of_head.resize(call.heads.size());
  if (pattern == "block_sparse") return choose_by_means(*this, call, out);
  choose_by_last_rows(*this, call, out);
}

void Minference::check() const {
  if (pattern != "vertical_slash" && pattern != "a_shape" && pattern != "block_sparse") {
    fail_user("where/minference: pattern must be vertical_slash, a_shape or block_sparse, got " + pattern);
  }
  const auto at_least = [](const char* name, Pos least, Pos value) {
    if (value >= least) return;
    fail_user("where/minference: " + std::string(name) + " must be >= " + std::to_string(least) + ", got " +
              std::to_string(value));
  };
  at_least("vertical_size", 0, vertical_size);
  at_least("slash_size", 0, slash_size);
  at_least("n_sink", 0, n_sink);
  at_least("window", 1, window);
  at_least("n_blocks", 1, n_blocks);
}

}  // namespace saccade::where
