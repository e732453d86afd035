#include "saccade/where/xattention.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "saccade/base/buffer.h"
#include "saccade/base/error.h"
#include "saccade/kernel/score.h"
#include "saccade/where/parts/dense_by_rule.h"
#include "saccade/where/parts/groups.h"
#include "saccade/where/parts/lists.h"
#include "saccade/where/parts/parallel.h"
#include "saccade/where/parts/pool.h"
#include "saccade/where/parts/scores.h"
#include "saccade/where/parts/top.h"

namespace saccade::where {
namespace {

constexpr Pos kBlock = Xattention::kBlock;
constexpr Pos kTile = kernel::kTileRows;
constexpr Pos kLeastRows = 64;  ///< strides of queries at a time: a tile of keys that is fetched is used that often
using List = std::vector<std::int32_t>;

/// Scores of strides of queries with strides of keys, and what they are worth in blocks.
class Estimate {
 public:
  /// Lays the keys out as tiles of kTile strides, 192 KiB each at head_dim 64 and stride 16.
  Estimate(const Xattention& rule, const SelectCall& call, int kv_head) : rule_(rule), call_(call) {
    tiles_.reserve(static_cast<std::size_t>(n_tiles() * tile_size()) * sizeof(float));
    parallel_for_or_throw(*call.team, n_tiles(), [&](Pos i) {
      const Range strides{i * kTile, std::min((i + 1) * kTile, n_strides())};
      const Range keys{strides.begin * rule.stride, std::min(strides.end * rule.stride, call.q_end())};
      const Rows rows = strided(call.k, kv_head, rule.stride, keys, false);
      kernel::pack_tile(rows.values.data(), static_cast<int>(rows.n), static_cast<int>(rows.dim), tile(i));
    });
  }

  Pos blocks_together() const { return std::max<Pos>(1, kLeastRows * rule_.stride / kBlock); }

  /// Writes the lists of these query blocks (absolute numbers) of one head to out[0], out[1], ...
  void choose(int head, Range q_blocks, List* out) const {
    const Range positions{q_blocks.begin * kBlock, q_blocks.end * kBlock};
    Rows q = strided(call_.q, head, rule_.stride, positions, true, call_.q_begin);
    for (float& x : q.values) x *= call_.scale / static_cast<float>(rule_.stride);
    const Pos n_keys = std::min((positions.end + rule_.stride - 1) / rule_.stride, n_strides());
    const Pos n = (n_keys + kTile - 1) / kTile, row_size = n * kTile;
    Buffer room;
    room.reserve(static_cast<std::size_t>(q.n * row_size) * sizeof(float));
    auto* scores = reinterpret_cast<float*>(room.data());
    for (Pos i = 0; i < n; ++i) {
      kernel::dot_tile(q.values.data(), static_cast<int>(q.n), tile(i), static_cast<int>(q.dim), scores + i * kTile,
                       row_size);
    }
    for (Pos u = q_blocks.begin; u < q_blocks.end; ++u) {
      std::vector<float> weights(static_cast<std::size_t>(u + 1), 0.0F);
      for (Pos i = 0; i < per_block(); ++i) {
        const Pos row = (u - q_blocks.begin) * per_block() + i;
        add_row(u * per_block() + i, scores + row * row_size, n_keys, weights);
      }
      const std::int32_t forced[] = {0, static_cast<std::int32_t>(u)};
      out[u - q_blocks.begin] = top_p(weights, rule_.tau, Crossing::kInclude, forced);
    }
  }

 private:
  Pos per_block() const { return kBlock / rule_.stride; }
  Pos n_strides() const { return (call_.q_end() + rule_.stride - 1) / rule_.stride; }
  Pos n_tiles() const { return (n_strides() + kTile - 1) / kTile; }
  Pos tile_size() const { return kTile * rule_.stride * call_.k.dim; }
  float* tile(Pos i) const { return reinterpret_cast<float*>(tiles_.data()) + i * tile_size(); }

  /// Adds the softmax weights of stride `a` of the queries to the blocks of keys.
  void add_row(Pos a, float* scores, Pos n_keys, std::span<float> weights) const {
    const Pos stride = rule_.stride;
    if ((a + 1) * stride <= call_.q_begin || a * stride >= call_.q_end()) return;
    const std::span row(scores, static_cast<std::size_t>(std::min(a + 1, n_keys)));
    softmax(row);
    if (std::isnan(row[0])) return;  // NaN anywhere makes the row NaN; it has no say
    for (std::size_t t = 0, b = 0; b < row.size(); ++t) {
      const std::size_t end = std::min(row.size(), b + static_cast<std::size_t>(per_block()));
      for (; b < end; ++b) weights[t] += row[b];
    }
  }

  const Xattention& rule_;
  const SelectCall& call_;
  Buffer tiles_;
};

}  // namespace

void Xattention::choose(const SelectCall& call, Selection& out) const {
  if (call.decodes()) return run_dense_by_rule(call, out);
  const Pos first = call.q_begin / kBlock, end = (call.q_end() + kBlock - 1) / kBlock, n_blocks = end - first;
  out.of_head.resize(call.heads.size());
  for (const auto& [kv_head, places] : places_by_kv_head(call)) {  // one at a time: its keys in f32 are large
    const Estimate estimate(*this, call, kv_head);
    const Pos together = estimate.blocks_together(), n_parts = (n_blocks + together - 1) / together;
    std::vector<List> lists(places.size() * static_cast<std::size_t>(n_blocks));
    // The last blocks see most keys and take longest: first.
    parallel_for_or_throw(*call.team, n_parts * static_cast<Pos>(places.size()), [&](Pos item) {
      const Pos i = item % static_cast<Pos>(places.size()), part = n_parts - 1 - item / static_cast<Pos>(places.size());
      const Pos begin = part * together;
      const Range blocks{first + begin, first + std::min(n_blocks, begin + together)};
      estimate.choose(call.heads[places[static_cast<std::size_t>(i)]], blocks, lists.data() + i * n_blocks + begin);
    });
    for (std::size_t i = 0; i < places.size(); ++i) {
      Lists of_blocks;
      for (Pos u = 0; u < n_blocks; ++u)
        of_blocks.add(lists[i * static_cast<std::size_t>(n_blocks) + static_cast<std::size_t>(u)]);
      out.of_head[places[i]] = std::make_shared<BlockLists>(kBlock, kBlock, first, std::move(of_blocks));
    }
    out.cost.bytes += static_cast<std::int64_t>(row_bytes(call.k.dtype, call.k.dim)) * call.q_end();
  }
  out.cost.flop = 2 * call.q.len * call.q_end() / stride * call.q.dim * static_cast<Pos>(call.heads.size());
}

void Xattention::check() const {
  if (!(tau > 0 && tau <= 1)) fail_user("where/xattention: tau must be > 0 and <= 1, got " + std::to_string(tau));
  if (stride < 1 || kBlock % stride != 0) {
    fail_user("where/xattention: stride must be >= 1 and divide 128, got " + std::to_string(stride));
  }
}

}  // namespace saccade::where
