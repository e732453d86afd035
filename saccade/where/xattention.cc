#include "saccade/where/xattention.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "saccade/base/buffer.h"
#include "saccade/base/error.h"
#include "saccade/kernel/score.h"
#include "saccade/where/parts/dense_by_rule.h"
#include "saccade/where/parts/groups.h"
#include "saccade/where/parts/ladder.h"
#include "saccade/where/parts/lists.h"
#include "saccade/where/parts/parallel.h"
#include "saccade/where/parts/pool.h"
#include "saccade/where/parts/row_tiles.h"
#include "saccade/where/parts/scores.h"
#include "saccade/where/parts/top.h"

namespace saccade::where {
namespace {

constexpr Pos kBlock = Xattention::kBlock;
constexpr Pos kLeastRows = 64;  ///< strides of queries at a time: a tile of keys that is fetched is used that often
using List = std::vector<std::int32_t>;

/// Scores of strides of queries with strides of keys, and what they are worth in blocks.
class Estimate {
 public:
  /// Lays the keys out as tiles of strides.
  Estimate(const Xattention& rule, const SelectCall& call, int kv_head)
      : rule_(rule), call_(call), tiles_(n_strides(), rule.stride * call.k.dim, *call.team, [&](Range strides) {
          const Range keys{strides.begin * rule.stride, std::min(strides.end * rule.stride, call.q_end())};
          return strided(call.k, kv_head, rule.stride, keys, false);
        }) {}

  Pos blocks_together() const { return std::max<Pos>(1, kLeastRows * rule_.stride / kBlock); }

  /// Writes the lists of these query blocks (absolute numbers) of one head: for taus[i] to out[i][0], out[i][1], ...
  void choose(int head, Range q_blocks, std::span<const double> taus, std::span<List* const> out) const {
    const Range positions{q_blocks.begin * kBlock, q_blocks.end * kBlock};
    Rows q = strided(call_.q, head, rule_.stride, positions, true, call_.q_begin);
    const Pos n_rows = q.n, n_keys = std::min((positions.end + rule_.stride - 1) / rule_.stride, n_strides());
    const Pos width = RowTiles::width(n_keys);
    Buffer room;
    room.reserve(static_cast<std::size_t>(n_rows * width) * sizeof(float));
    auto* scores = reinterpret_cast<float*>(room.data());
    tiles_.multiply(std::move(q), call_.scale / static_cast<float>(rule_.stride), n_keys, scores);
    for (Pos u = q_blocks.begin; u < q_blocks.end; ++u) {
      const std::int32_t forced[] = {0, static_cast<std::int32_t>(u)};
      const std::vector<float> weights = weights_of(u, scores + (u - q_blocks.begin) * per_block() * width, width);
      const auto levels = top_p_levels(weights, taus, Crossing::kInclude, forced);
      for (std::size_t i = 0; i < taus.size(); ++i) out[i][u - q_blocks.begin] = up_to(levels, i);
    }
  }

 private:
  Pos per_block() const { return kBlock / rule_.stride; }
  Pos n_strides() const { return (call_.q_end() + rule_.stride - 1) / rule_.stride; }

  /// The softmax weights of a block of queries in each block of keys up to its own, summed over its strides. Overwrites
  /// their scores, rows `width` apart.
  std::vector<float> weights_of(Pos u, float* scores, Pos width) const {
    const Pos n_seen = std::min((u + 1) * per_block(), n_strides());  // by the last stride
    for (Pos i = 0; i < per_block(); ++i) {
      weigh_row(u * per_block() + i, {scores + i * width, static_cast<std::size_t>(n_seen)});
    }
    std::vector<float> sums(static_cast<std::size_t>(n_seen), 0.0F);
    kernel::add_columns(scores, static_cast<int>(per_block()), width, static_cast<int>(n_seen), sums.data());
    std::vector<float> weights;
    for (auto begin = sums.begin(); begin != sums.end();) {
      const auto end = begin + std::min<Pos>(per_block(), sums.end() - begin);
      weights.push_back(std::accumulate(begin, end, 0.0F));
      begin = end;
    }
    return weights;
  }

  /// Scores of stride `a` of the queries to softmax weights; zeros where it has no say: it is in no batch, or NaN
  /// anywhere made it NaN everywhere.
  void weigh_row(Pos a, std::span<float> scores) const {
    const bool there = (a + 1) * rule_.stride > call_.q_begin && a * rule_.stride < call_.q_end();
    const std::span seen = scores.first(there ? std::min(static_cast<std::size_t>(a + 1), scores.size()) : 0);
    softmax(seen);
    const bool has_say = there && !std::isnan(seen[0]);
    std::fill(scores.begin() + (has_say ? static_cast<std::ptrdiff_t>(seen.size()) : 0), scores.end(), 0.0F);
  }

  const Xattention& rule_;
  const SelectCall& call_;
  RowTiles tiles_;
};

}  // namespace

namespace {

/// The lists of one head for one tau, one for each block of queries of the call.
struct HeadLists {
  std::vector<List> of_block;
  WherePtr pattern(Pos first) const {
    Lists lists;
    for (const List& list : of_block) lists.add(list);
    return std::make_shared<BlockLists>(kBlock, kBlock, first, std::move(lists));
  }
};

/// Appends a selection for each tau.
void choose_each(const Xattention& rule, const SelectCall& call, std::span<const double> taus,
                 std::vector<Selection>& out) {
  const Pos first = call.q_begin / kBlock, end = (call.q_end() + kBlock - 1) / kBlock, n_blocks = end - first;
  const std::span<Selection> rungs = add_rungs(taus.size(), call.heads.size(), out);
  for (const auto& [kv_head, places] : places_by_kv_head(call)) {  // one at a time: its keys are large
    const Estimate estimate(rule, call, kv_head);
    const Pos together = estimate.blocks_together(), n_parts = (n_blocks + together - 1) / together;
    std::vector<HeadLists> lists(places.size() * taus.size(),
                                 HeadLists{std::vector<List>(static_cast<std::size_t>(n_blocks))});
    // The last blocks see most keys and take longest: first.
    parallel_for_or_throw(*call.team, n_parts * static_cast<Pos>(places.size()), [&](Pos item) {
      const auto i = static_cast<std::size_t>(item) % places.size();
      const Pos begin = (n_parts - 1 - item / static_cast<Pos>(places.size())) * together;
      std::vector<List*> to;
      for (std::size_t rung = 0; rung < taus.size(); ++rung) {
        to.push_back(lists[i * taus.size() + rung].of_block.data() + begin);
      }
      estimate.choose(call.heads[places[i]], {first + begin, first + std::min(n_blocks, begin + together)}, taus, to);
    });
    for (std::size_t i = 0; i < lists.size(); ++i) {
      rungs[i % taus.size()].of_head[places[i / taus.size()]] = lists[i].pattern(first);
    }
    rungs[0].cost.bytes += static_cast<std::int64_t>(row_bytes(call.k.dtype, call.k.dim)) * call.q_end();
  }
  rungs[0].cost.flop = 2 * call.q.len * call.q_end() / rule.stride * call.q.dim * static_cast<Pos>(call.heads.size());
}

}  // namespace

void Xattention::choose(const SelectCall& call, Selection& out) const {
  if (call.decodes()) return run_dense_by_rule(call, out);
  std::vector<Selection> one;
  choose_each(*this, call, {&tau, 1}, one);
  out = std::move(one.front());
}

void Xattention::climb(const SelectCall& call, std::vector<Selection>& rungs) const {
  if (call.decodes()) return run_dense_by_rule(call, rungs.emplace_back());
  choose_each(*this, call, kLadder, rungs);
}

void Xattention::check() const {
  if (!(tau > 0 && tau <= 1)) fail_user("where/xattention: tau must be > 0 and <= 1, got " + std::to_string(tau));
  if (stride < 1 || kBlock % stride != 0) {
    fail_user("where/xattention: stride must be >= 1 and divide 128, got " + std::to_string(stride));
  }
}

}  // namespace saccade::where
