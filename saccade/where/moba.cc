#include "saccade/where/moba.h"

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
#include "saccade/where/parts/groups.h"
#include "saccade/where/parts/lists.h"
#include "saccade/where/parts/memory.h"
#include "saccade/where/parts/parallel.h"
#include "saccade/where/parts/scores.h"

namespace saccade::where {
namespace {

constexpr Pos kQueries = 64;  ///< gated at a time

/// A list of chunks for each query: BlockLists of one query, but with visits made for many of them at once.
class ChunkLists final : public Where {
 public:
  ChunkLists(Pos chunk, Pos first_q, Lists lists)
      : chunk_(chunk),
        first_(first_q),
        end_(first_q + static_cast<Pos>(lists.size())),
        lists_(1, chunk, first_q, std::move(lists)) {}

  bool admits(Pos q_pos, Pos k_pos) const override { return lists_.admits(q_pos, k_pos); }
  void mask(Pos q_pos, Range keys, std::uint32_t* words) const override { lists_.mask(q_pos, keys, words); }

  /// What any of the queries chose; full where all of them did. O(n log n) for n numbers in their lists.
  void visits(Range q_block, VisitList& out) const override {
    out.clear();
    std::vector<std::int32_t> numbers;
    for (Pos q_pos = std::max(q_block.begin, first_); q_pos < std::min(q_block.end, end_); ++q_pos) {
      const auto list = lists_.list(q_pos);
      numbers.insert(numbers.end(), list.begin(), list.end());
    }
    std::ranges::sort(numbers);
    for (auto at = numbers.begin(); at != numbers.end();) {
      const auto next = std::upper_bound(at, numbers.end(), *at);
      const Range keys{*at * chunk_, std::min((*at + 1) * chunk_, q_block.end)};
      // The first query sees as far as itself.
      const Pos full_end =
          next - at == q_block.size() ? std::clamp(q_block.begin + 1, keys.begin, keys.end) : keys.begin;
      append({keys.begin, full_end}, true, out);
      append({full_end, keys.end}, false, out);
      at = next;
    }
  }

 private:
  static void append(Range keys, bool full, VisitList& out) {
    if (keys.empty()) return;
    if (!out.empty() && out.back().keys.end == keys.begin && out.back().full == full) {
      out.back().keys.end = keys.end;
    } else {
      out.push_back({keys, full});
    }
  }

  Pos chunk_, first_, end_;
  BlockLists lists_;
};

/// The best of the chunks before a query's own, and its own. `order`: room for the numbers of the chunks.
void choose_chunks(std::span<const float> gates, Pos top_k, std::vector<std::int32_t>& order,
                   std::vector<std::int32_t>& list) {
  const auto own = static_cast<std::int32_t>(gates.size());
  const auto n = std::min<Pos>(top_k - 1, own);
  order.resize(gates.size());
  std::iota(order.begin(), order.end(), 0);
  const auto before = [&](std::int32_t a, std::int32_t b) {
    const auto worth = [&](std::int32_t i) {  // NaN: last
      const float gate = gates[static_cast<std::size_t>(i)];
      return std::isnan(gate) ? -std::numeric_limits<float>::infinity() : gate;
    };
    return worth(a) != worth(b) ? worth(a) > worth(b) : a < b;
  };
  if (n < own) std::partial_sort(order.begin(), order.begin() + n, order.end(), before);
  list.assign(order.begin(), order.begin() + n);
  std::ranges::sort(list);
  list.push_back(own);
}

/// The lists of all queries of a head. `means`: of finished chunks and maybe more.
Lists choose_all(const Moba& rule, const SelectCall& call, int head, const Rows& means) {
  Lists lists;
  std::vector<float> gates(static_cast<std::size_t>(kQueries * means.n));
  std::vector<std::int32_t> order, list;
  for (Pos begin = 0; begin < call.q.len; begin += kQueries) {
    const Rows q = load(call.q, head, {begin, std::min(call.q.len, begin + kQueries)});
    multiply(q, means, 1.0F, gates.data());
    for (Pos i = 0; i < q.n; ++i) {
      const Pos own = (call.q_begin + begin + i) / rule.chunk;  // all chunks before it are finished
      choose_chunks({gates.data() + i * means.n, static_cast<std::size_t>(own)}, rule.top_k, order, list);
      lists.add(list);
    }
  }
  return lists;
}

}  // namespace

void Moba::choose(const SelectCall& call, Selection& out) const {
  KeyMemory forgetful;
  const KeyMeans& pool = (call.memory != nullptr ? *call.memory : forgetful).means(call, chunk);
  std::map<int, Rows> means;
  for (const auto& [kv_head, places] : places_by_kv_head(call)) {
    means[kv_head] = {pool.n_blocks, pool.dim, pool.of_head[static_cast<std::size_t>(kv_head)]};
  }
  out.of_head.resize(call.heads.size());
  parallel_for_or_throw(*call.team, static_cast<Pos>(call.heads.size()), [&](Pos i) {
    const auto place = static_cast<std::size_t>(i);
    const int head = call.heads[place];
    Lists lists = choose_all(*this, call, head, means.at(call.kv_head[static_cast<std::size_t>(head)]));
    out.of_head[place] = std::make_shared<ChunkLists>(chunk, call.q_begin, std::move(lists));
  });
  const auto n_heads = static_cast<Pos>(call.heads.size());
  out.cost = {2 * call.q.len * pool.n_blocks * pool.dim * n_heads,
              static_cast<std::int64_t>(row_bytes(call.k.dtype, call.k.dim)) * call.q.len * call.k.n_heads};
}

void Moba::check() const {
  if (chunk < 1) fail_user("where/moba: chunk must be >= 1, got " + std::to_string(chunk));
  if (top_k < 1) fail_user("where/moba: top_k must be >= 1, got " + std::to_string(top_k));
}

}  // namespace saccade::where
