#include "saccade/where/oracle_topk.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "saccade/base/error.h"
#include "saccade/where/parts/lists.h"
#include "saccade/where/parts/parallel.h"
#include "saccade/where/parts/scores.h"
#include "saccade/where/parts/top.h"

namespace saccade::where {
namespace {

constexpr Pos kChunk = 512;  ///< keys scored at a time: 128 KiB of f32 at head_dim 64

/// Weights of dense attention of these queries of one head (positions), summed over the queries: [rows.end].
std::vector<float> column_sums(const SelectCall& call, int head, Range rows) {
  const Rows q = load(call.q, head, {rows.begin - call.q_begin, rows.end - call.q_begin});
  const Pos n_keys = rows.end, kv_head = call.kv_head[static_cast<std::size_t>(head)];
  std::vector<float> scores(static_cast<std::size_t>(q.n * n_keys)), some(static_cast<std::size_t>(q.n * kChunk));
  for (Pos begin = 0; begin < n_keys; begin += kChunk) {
    const Rows k = load(call.k, kv_head, {begin, std::min(n_keys, begin + kChunk)});
    multiply(q, k, call.scale, some.data());
    for (Pos i = 0; i < q.n; ++i) std::copy_n(some.data() + i * k.n, k.n, scores.data() + i * n_keys + begin);
  }
  std::vector<float> sums(static_cast<std::size_t>(n_keys), 0.0F);
  for (Pos i = 0; i < q.n; ++i) {
    const std::span row(scores.data() + i * n_keys, static_cast<std::size_t>(rows.begin + i + 1));
    if (call.softcap > 0) {
      for (float& score : row) score = call.softcap * std::tanh(score / call.softcap);
    }
    softmax(row);
    if (std::isnan(row[0])) continue;  // NaN anywhere makes the row NaN; it has no say
    for (std::size_t j = 0; j < row.size(); ++j) sums[j] += row[j];
  }
  return sums;
}

std::vector<std::int32_t> choose_block(const OracleTopk& rule, const SelectCall& call, int head, Range rows) {
  std::vector<std::int32_t> list = top_p(column_sums(call, head, rows), rule.mass, Crossing::kInclude);
  if (list.empty() || list.front() > rows.begin) list.insert(list.begin(), static_cast<std::int32_t>(rows.begin));
  return list;
}

}  // namespace

void OracleTopk::choose(const SelectCall& call, Selection& out) const {
  const Pos first = call.q_begin / block_q, n_blocks = (call.q_end() - 1) / block_q + 1 - first;
  const auto n_heads = static_cast<Pos>(call.heads.size());
  std::vector<std::vector<std::int32_t>> lists(static_cast<std::size_t>(n_heads * n_blocks));
  parallel_for_or_throw(*call.team, n_heads * n_blocks, [&](Pos item) {
    const Pos u = first + item % n_blocks;
    const Range rows{std::max(u * block_q, call.q_begin), std::min((u + 1) * block_q, call.q_end())};
    const int head = call.heads[static_cast<std::size_t>(item / n_blocks)];
    lists[static_cast<std::size_t>(item)] = choose_block(*this, call, head, rows);
  });
  for (Pos i = 0; i < n_heads; ++i) {
    Lists of_blocks;
    for (Pos u = 0; u < n_blocks; ++u) of_blocks.add(lists[static_cast<std::size_t>(i * n_blocks + u)]);
    out.of_head.push_back(std::make_shared<TokenLists>(block_q, first, std::move(of_blocks)));
  }
  out.cost = {2 * call.q.len * call.q_end() * call.q.dim * n_heads,
              static_cast<std::int64_t>(row_bytes(call.k.dtype, call.k.dim)) * call.q_end() * n_blocks * n_heads};
}

void OracleTopk::check() const {
  if (!(mass > 0 && mass <= 1)) fail_user("where/oracle_topk: mass must be > 0 and <= 1, got " + std::to_string(mass));
  if (block_q < 1 || block_q > 1024) {
    fail_user("where/oracle_topk: block_q must be >= 1 and <= 1024, got " + std::to_string(block_q));
  }
}

}  // namespace saccade::where
