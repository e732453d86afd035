#include "saccade/where/parts/trial.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "saccade/base/buffer.h"
#include "saccade/kernel/score.h"
#include "saccade/kernel/visit.h"
#include "saccade/where/parts/groups.h"
#include "saccade/where/parts/parallel.h"
#include "saccade/where/parts/scores.h"

namespace saccade {
namespace {

constexpr Pos kKeys = 64;
constexpr Pos kLanes = kernel::kTileRows;
constexpr float kNothing = -std::numeric_limits<float>::infinity();

/// What a worker needs to attend a block of keys.
struct Room {
  Room(Layout layout, Pos dim, Pos v_dim)
      : k(layout.take<float>(kKeys * dim)),
        v(layout.take<float>(kKeys * v_dim)),
        scores(layout.take<float>(kernel::kBlockKeys * kLanes)),
        visible(layout.take<std::uint32_t>(kKeys / 32 * kLanes)),
        bytes(layout.used()) {}
  float *k, *v, *scores;
  std::uint32_t* visible;
  std::size_t bytes;
};

/// The rows of the query heads that read one KV head, attended to each block of keys alone.
class Group {
 public:
  /// `places`: of these query heads in call.heads; `results`: room that groups take in turn.
  Group(const SelectCall& call, int kv_head, std::span<const std::size_t> places, std::span<const Pos> rows,
        Buffer& results)
      : call_(call), kv_head_(kv_head), places_(places), rows_(rows), results_(results) {
    for (const Pos row : rows) most_ = std::max(most_, call.q_begin + row + 1);
    n_blocks_ = (most_ + kKeys - 1) / kKeys;
    lay_out_queries();
    attend_all();
  }

  Pos n_tiles() const { return (n_lanes() + kLanes - 1) / kLanes; }

  /// Adds the rows of one tile to their heads' trials, one entry of `trials` for each place.
  void judge(Pos tile, std::span<const Selection> rungs, std::vector<HeadTrial>& trials) const;

 private:
  Pos n_lanes() const { return static_cast<Pos>(places_.size() * rows_.size()); }
  Pos v_dim() const { return call_.v.dim; }
  std::size_t place_of(Pos lane) const { return static_cast<std::size_t>(lane) / rows_.size(); }
  Pos row_of(Pos lane) const { return rows_[static_cast<std::size_t>(lane) % rows_.size()]; }
  Pos q_pos(Pos lane) const { return call_.q_begin + row_of(lane); }
  Pos lanes_of(Pos tile) const { return std::min(kLanes, n_lanes() - tile * kLanes); }

  float* o(Pos block, Pos tile) const { return o_ + (tile * n_blocks_ + block) * v_dim() * kLanes; }
  float* row_max(Pos block, Pos tile) const { return max_ + (tile * n_blocks_ + block) * kLanes; }
  float* row_sum(Pos block, Pos tile) const { return sum_ + (tile * n_blocks_ + block) * kLanes; }

  void lay_out_queries();
  void attend_all();
  void attend(Pos block, Pos tile, const kernel::KeyBlock& keys, Room& room) const;
  void take_levels(Pos lane, std::span<const Selection> rungs, std::int32_t* levels, std::vector<RungTrial>& to) const;

  const SelectCall& call_;
  int kv_head_;
  std::span<const std::size_t> places_;
  std::span<const Pos> rows_;
  Pos most_ = 0, n_blocks_ = 0;
  Buffer queries_;
  Buffer& results_;
  float *q_ = nullptr, *o_ = nullptr, *max_ = nullptr, *sum_ = nullptr;
};

void Group::lay_out_queries() {
  const Pos dim = call_.q.dim;
  queries_.reserve(static_cast<std::size_t>(n_tiles() * dim * kLanes) * sizeof(float));
  q_ = reinterpret_cast<float*>(queries_.data());
  for (Pos tile = 0; tile < n_tiles(); ++tile) {
    std::vector<float> rows;
    for (Pos lane = tile * kLanes; lane < tile * kLanes + lanes_of(tile); ++lane) {
      const Rows one = load(call_.q, call_.heads[places_[place_of(lane)]], {row_of(lane), row_of(lane) + 1});
      for (const float x : one.values) rows.push_back(call_.scale < 0 ? -x : x);
    }
    kernel::pack_tile(rows.data(), static_cast<int>(lanes_of(tile)), static_cast<int>(dim), q_ + tile * dim * kLanes);
  }
}

void Group::attend_all() {
  const Pos n = n_blocks_ * n_tiles() * kLanes;
  const auto lay = [&](Layout layout) {
    o_ = layout.take<float>(n * v_dim());
    max_ = layout.take<float>(n);
    sum_ = layout.take<float>(n);
    return layout.used();
  };
  results_.reserve(lay(Layout()));
  lay(Layout(results_.data()));
  constexpr Pos kTogether = 8;  // blocks an item takes on
  std::vector<Buffer> buffers(static_cast<std::size_t>(call_.team->size()));
  const Pos dim = call_.k.dim;
  parallel_for_or_throw(*call_.team, (n_blocks_ + kTogether - 1) / kTogether, [&](Pos item, int worker) {
    Buffer& buffer = buffers[static_cast<std::size_t>(worker)];
    buffer.reserve(Room(Layout(), dim, v_dim()).bytes);
    Room room(Layout(buffer.data()), dim, v_dim());
    for (Pos block = item * kTogether; block < std::min(n_blocks_, (item + 1) * kTogether); ++block) {
      const Pos begin = block * kKeys;
      const auto n_keys = static_cast<int>(std::min(kKeys, most_ - begin));
      kernel::load_rows(call_.k.dtype, call_.k.row(begin, kv_head_), call_.k.len_stride, n_keys, static_cast<int>(dim),
                        room.k);
      const bool finite = kernel::load_panels(call_.v.dtype, call_.v.row(begin, kv_head_), call_.v.len_stride, n_keys,
                                              static_cast<int>(v_dim()), room.v);
      const kernel::KeyBlock keys{.k = room.k,
                                  .v = room.v,
                                  .n_keys = n_keys,
                                  .head_dim = static_cast<int>(dim),
                                  .v_dim = static_cast<int>(v_dim()),
                                  .v_finite = finite};
      for (Pos tile = 0; tile < n_tiles(); ++tile) attend(block, tile, keys, room);
    }
  });
}

void Group::attend(Pos block, Pos tile, const kernel::KeyBlock& keys, Room& room) const {
  float *const row_max = this->row_max(block, tile), *const row_sum = this->row_sum(block, tile);
  std::fill_n(row_max, kLanes, kNothing);
  std::fill_n(row_sum, kLanes, 0.0F);
  const Pos begin = block * kKeys;
  bool any = false, all = true;
  for (Pos i = 0; i < kLanes; ++i) {
    const Pos n = i < lanes_of(tile) ? std::clamp<Pos>(q_pos(tile * kLanes + i) + 1 - begin, 0, keys.n_keys) : 0;
    any = any || n > 0;
    all = all && (n == keys.n_keys || i >= lanes_of(tile));
    for (Pos word = 0; word < kKeys / 32; ++word) {
      const Pos bits = std::clamp<Pos>(n - word * 32, 0, 32);
      room.visible[word * kLanes + i] = bits == 0 ? 0U : ~0U >> (32 - bits);
    }
  }
  if (!any) return;  // o is not written, and the rows' sums of 0 keep it from being read
  float* const o = this->o(block, tile);
  std::fill_n(o, v_dim() * kLanes, 0.0F);
  const kernel::Tile rows{.q = q_ + tile * call_.q.dim * kLanes,
                          .o = o,
                          .row_max = row_max,
                          .row_sum = row_sum,
                          .n_rows = static_cast<int>(lanes_of(tile))};
  kernel::visit(rows, keys, {.visible = all ? nullptr : room.visible},
                {.scale = std::fabs(call_.scale), .softcap = call_.softcap}, room.scores);
}

/// The first rung that shows the row each block, n_rungs where none does, to levels[block, 0]; and the keys that each
/// rung shows.
void Group::take_levels(Pos lane, std::span<const Selection> rungs, std::int32_t* levels,
                        std::vector<RungTrial>& to) const {
  const auto set = [&](Range blocks, std::size_t level) {
    for (Pos t = blocks.begin; t < blocks.end; ++t) levels[t * kLanes] = static_cast<std::int32_t>(level);
  };
  set({0, n_blocks_}, rungs.size());
  VisitList visits;
  for (std::size_t rung = rungs.size(); rung-- > 0;) {
    rungs[rung].of_head[places_[place_of(lane)]]->visits({q_pos(lane), q_pos(lane) + 1}, visits);
    clip(visits, {0, q_pos(lane) + 1});
    for (const Visit& visit : visits) {
      to[rung].pairs += static_cast<double>(visit.keys.size());
      set({visit.keys.begin / kKeys, (visit.keys.end + kKeys - 1) / kKeys}, rung);
    }
  }
}

void Group::judge(Pos tile, std::span<const Selection> rungs, std::vector<HeadTrial>& trials) const {
  const Pos n = lanes_of(tile), width = 1 + v_dim(), n_levels = static_cast<Pos>(rungs.size()) + 1;
  float *most = nullptr, *factor = nullptr, *sums = nullptr;
  std::int32_t* levels = nullptr;
  const auto lay = [&](Layout layout) {
    most = layout.take<float>(kLanes);
    factor = layout.take<float>(kLanes);
    levels = layout.take<std::int32_t>(n_blocks_ * kLanes);
    sums = layout.take<float>(n_levels * width * kLanes);
    return layout.used();
  };
  Buffer room;
  room.reserve(lay(Layout()));
  lay(Layout(room.data()));
  std::fill_n(levels, n_blocks_ * kLanes, -1);
  for (Pos i = 0; i < n; ++i) {
    take_levels(tile * kLanes + i, rungs, levels + i, trials[place_of(tile * kLanes + i)].rungs);
  }
  std::fill_n(most, kLanes, kNothing);
  for (Pos block = 0; block < n_blocks_; ++block) {
    for (Pos i = 0; i < n; ++i) most[i] = std::max(most[i], row_max(block, tile)[i]);
  }
  // Sums of weights, and of weighted values, of the blocks that a rung is the first to show.
  std::fill_n(sums, n_levels * width * kLanes, 0.0F);
  std::fill_n(factor, kLanes, 0.0F);
  for (Pos block = 0; block < n_blocks_; ++block) {
    const float *const row_max = this->row_max(block, tile), *const row_sum = this->row_sum(block, tile);
    std::int32_t* const level = levels + block * kLanes;
    for (Pos i = 0; i < n; ++i) {
      if (row_sum[i] == 0) {
        level[i] = -1;  // the row sees nothing of the block
      } else {
        factor[i] = std::exp2(row_max[i] - most[i]);
      }
    }
    kernel::add_by_level(o(block, tile), row_sum, factor, level, static_cast<int>(v_dim()), sums);
  }
  for (Pos level = 1; level < n_levels; ++level) {
    float* const to = sums + level * width * kLanes;
    for (Pos c = 0; c < width * kLanes; ++c) to[c] += to[c - width * kLanes];
  }
  const auto value = [&](Pos level, Pos i, Pos c) {
    const float* const at = sums + level * width * kLanes + i;
    return at[0] == 0 ? 0.0 : static_cast<double>(at[(1 + c) * kLanes]) / static_cast<double>(at[0]);
  };
  for (Pos i = 0; i < n; ++i) {
    HeadTrial& trial = trials[place_of(tile * kLanes + i)];
    for (Pos c = 0; c < v_dim(); ++c) {
      const double whole = value(n_levels - 1, i, c);
      trial.size += whole * whole;
      for (Pos rung = 0; rung + 1 < n_levels; ++rung) {
        const double off = value(rung, i, c) - whole;
        trial.rungs[static_cast<std::size_t>(rung)].error += off * off;
      }
    }
  }
}

}  // namespace

std::vector<HeadTrial> try_rungs(const SelectCall& call, std::span<const Pos> rows, std::span<const Selection> rungs) {
  std::vector<HeadTrial> all(call.heads.size());
  for (HeadTrial& trial : all) trial.rungs.resize(rungs.size());
  Buffer results;
  for (const auto& [kv_head, places] : places_by_kv_head(call)) {  // one at a time: its results are large
    const Group group(call, kv_head, places, rows, results);
    std::vector<std::vector<HeadTrial>> of_tile(static_cast<std::size_t>(group.n_tiles()));
    parallel_for_or_throw(*call.team, group.n_tiles(), [&](Pos tile) {
      auto& trials = of_tile[static_cast<std::size_t>(tile)];
      trials.resize(places.size());
      for (HeadTrial& trial : trials) trial.rungs.resize(rungs.size());
      group.judge(tile, rungs, trials);
    });
    for (const auto& trials : of_tile) {  // in the order of the tiles, whoever was first
      for (std::size_t i = 0; i < places.size(); ++i) {
        HeadTrial& to = all[places[i]];
        to.size += trials[i].size;
        for (std::size_t rung = 0; rung < rungs.size(); ++rung) {
          to.rungs[rung].error += trials[i].rungs[rung].error;
          to.rungs[rung].pairs += trials[i].rungs[rung].pairs;
        }
      }
    }
  }
  return all;
}

void TrialMemory::join(const SelectCall& call, std::vector<HeadTrial>& trials) {
  const auto alike = [](const HeadTrial& a, const HeadTrial& b) { return a.rungs.size() == b.rungs.size(); };
  const bool goes_on =
      call.q_begin == end_ && std::ranges::equal(trials, trials_, alike);  // another text, or other heads
  for (std::size_t head = 0; goes_on && head < trials.size(); ++head) {
    const HeadTrial& old = trials_[head];
    if (!std::isfinite(old.size)) continue;
    trials[head].size += kKept * old.size;
    for (std::size_t rung = 0; rung < old.rungs.size(); ++rung) {
      trials[head].rungs[rung].error += kKept * old.rungs[rung].error;
    }
  }
  end_ = call.q_end();
  trials_ = trials;
}

}  // namespace saccade
