#include "saccade/attend/attend.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <new>
#include <optional>
#include <string>

#include "saccade/attend/edge.h"
#include "saccade/attend/few.h"
#include "saccade/attend/packed.h"
#include "saccade/attend/schedule.h"
#include "saccade/attend/splits.h"
#include "saccade/attend/tiles.h"
#include "saccade/attend/workspace.h"
#include "saccade/base/error.h"
#include "saccade/kernel/visit.h"

namespace saccade {
namespace detail {
namespace {

/// What one worker needs beside the call.
struct Room {
  Room(Layout layout, const AttendCall& call, const Schedule& schedule, Packed* packed)
      : edge(layout, call, schedule.block_q),
        few(layout, call),
        tiles(layout, call, schedule.most_rows(), packed),
        bytes(layout.used()) {}

  Edge edge;
  Few few;
  Tiles tiles;
  std::size_t bytes;
};

/// One item: the rows of a block of queries in a set of heads walk their visits, a block of keys at a time.
class Item {
 public:
  Item(const AttendCall& call, const Schedule& schedule, Pos index)
      : call_(call), split_(index % schedule.n_splits), n_splits_(schedule.n_splits) {
    const Pos block = index / schedule.n_splits % schedule.n_blocks;
    const Pos begin = block * schedule.block_q;
    rows_ = {.set = &schedule.sets[static_cast<std::size_t>(index / schedule.n_splits / schedule.n_blocks)],
             .q_rows = {begin, std::min(begin + schedule.block_q, call.q.len)}};
  }

  AttendCost walk(Room& room, const Partials* partials) const {
    return rows_.size() <= kernel::kFewRows ? walk(room.few, room.edge, partials)
                                            : walk(room.tiles, room.edge, partials);
  }

 private:
  template <class Seen>
  AttendCost walk(Seen& seen, Edge& edge, const Partials* partials) const {
    seen.start(call_, rows_);
    Pos pairs = 0, pairs_i16 = 0;
    for (const Visit& visit : visits()) {
      for (Range keys{visit.keys.begin, 0}; keys.begin < visit.keys.end; keys.begin = keys.end) {
        // Blocks end at multiples of their size, so that all items cut the keys alike and can share them.
        keys.end = std::min((keys.begin / kernel::kBlockKeys + 1) * kernel::kBlockKeys, visit.keys.end);
        if (visit.full) {
          const bool fixed = seen.see_all(call_, keys);
          pairs += rows_.q_rows.size() * keys.size();
          pairs_i16 += fixed ? rows_.q_rows.size() * keys.size() : 0;
        } else if (const Pos visible = edge.ask(call_, *rows_.set->where, rows_.q_rows, keys)) {
          seen.see_edge(call_, edge);
          pairs += visible;
        }
      }
    }
    for (Pos row = 0; row < rows_.size(); ++row) write(seen, row, partials);
    return {.pairs_visited = pairs * rows_.n_heads(), .pairs_i16 = pairs_i16 * rows_.n_heads()};
  }

  VisitList visits() const {
    VisitList list;
    rows_.set->where->visits({call_.q_begin + rows_.q_rows.begin, call_.q_begin + rows_.q_rows.end}, list);
    clip(list, {0, call_.k.len});
    if (n_splits_ > 1) take_share(list, split_, n_splits_);
    return list;
  }

  template <class Seen>
  void write(const Seen& seen, Pos row, const Partials* partials) const {
    const Pos query = rows_.query(row);
    const int head = rows_.head(row);
    if (partials) {
      partials->lse(split_, query, head) = seen.finish(row, partials->o(split_, query, head));
    } else {
      float* o = call_.o.row(query, head);
      Partial all{{o, static_cast<std::size_t>(call_.o.dim)}};
      all.lse = seen.finish(row, o);
      add_sink(call_, head, all);
      if (call_.lse) call_.lse[query * call_.q.n_heads + head] = all.lse;
    }
  }

  const AttendCall& call_;
  Pos split_, n_splits_;
  RowMap rows_;
};

[[noreturn]] void fail(const std::string& line) { fail_user("attend: " + line); }

void check_shapes(const AttendCall& call) {
  const View &q = call.q, &k = call.k, &v = call.v;
  if (!can_attend(q.dtype, k.dtype, v.dtype, q.dim, v.dim)) {
    fail("head_dim and head_dim_v must be multiples of 8 (32 where quantised) from 32 to " +
         std::to_string(kernel::kMaxHeadDim) + " and q f32, f16 or bf16, got " + std::to_string(q.dim) + " and " +
         std::to_string(v.dim) + ", q " + std::string(name_of(q.dtype)));
  }
  if (k.dim != q.dim) fail("q and k must have one head_dim");
  if (call.o.dim != v.dim) fail("v and o must have one head_dim_v");
  if (k.len != v.len || k.n_heads != v.n_heads) fail("k and v must have the same length and heads");
  if (call.o.len != q.len || call.o.n_heads != q.n_heads) fail("o must have q's length and heads");
  if (call.q_begin < 0) fail("q_begin must be >= 0, got " + std::to_string(call.q_begin));
}

void check_heads(const AttendCall& call) {
  const Pos n_heads = call.q.n_heads;
  const Pos n_kv_heads = call.k.n_heads;
  const auto one_per_head = [&](const char* what, std::size_t size) {
    if (size != static_cast<std::size_t>(n_heads)) {
      fail(std::string(what) + " must have one entry per query head (" + std::to_string(n_heads) + "), got " +
           std::to_string(size));
    }
  };
  if (call.where.size() != 1) one_per_head("where, if not one for all,", call.where.size());
  if (!call.slopes.empty()) one_per_head("slopes", call.slopes.size());
  if (!call.sink_scores.empty()) one_per_head("sink_scores", call.sink_scores.size());
  if (!call.kv_head.empty()) {
    one_per_head("kv_head", call.kv_head.size());
  } else if (n_kv_heads < 1 || n_kv_heads > n_heads || n_heads % n_kv_heads != 0) {
    fail("without a kv_head table n_heads must be a multiple of n_kv_heads, got " + std::to_string(n_heads) + " and " +
         std::to_string(n_kv_heads));
  }
  for (const int kv_head : call.kv_head) {
    if (kv_head < 0 || kv_head >= n_kv_heads)
      fail("kv_head entries must be in [0, n_kv_heads), got " + std::to_string(kv_head));
  }
}

void check_numbers(const AttendCall& call) {
  if (call.bias.data && call.bias.dtype != DType::f32 && call.bias.dtype != DType::f16) {
    fail("bias must be f32 or f16, got " + std::string(name_of(call.bias.dtype)));
  }
  if (!std::isfinite(call.scale) || !(call.softcap >= 0) || !std::isfinite(call.softcap)) {
    fail("scale must be finite and softcap finite and >= 0");
  }
  for (const float slope : call.slopes) {
    if (!std::isfinite(slope)) fail("slopes must be finite, got " + std::to_string(slope));
  }
}

void check(const AttendCall& call) {
  check_shapes(call);
  check_heads(call);
  check_numbers(call);
  check_precision(call.precision);
}

}  // namespace
}  // namespace detail

void check_precision(Precision precision) {
  if (precision == Precision::kI16 && !kernel::has_fixed()) {
    fail_machine("precision i16 needs a CPU with AVX-512 VNNI (target AVX3)");
  }
}

bool can_attend(DType q, DType k, DType v, Pos head_dim, Pos head_dim_v) {
  const auto fits = [](DType dtype, Pos dim) {
    return dim >= 32 && dim <= kernel::kMaxHeadDim && dim % std::max<Pos>(8, block_len(dtype)) == 0;
  };
  return block_len(q) == 1 && fits(k, head_dim) && fits(v, head_dim_v);
}

std::int64_t dense_pairs(Pos q_begin, Pos q_len, Pos kv_len, Pos n_heads) {
  std::int64_t pairs = 0;
  for (Pos i = 0; i < q_len; ++i) pairs += std::clamp<Pos>(q_begin + i + 1, 0, kv_len);
  return pairs * n_heads;
}

AttendCost attend(const AttendCall& call, Team& team, Workspace& workspace) {
  using namespace detail;
  check(call);
  const Schedule schedule = make_schedule(call, team.size());
  if (schedule.n_items() == 0) return {};
  std::optional<Packed> packed;
  const auto room_at = [&](std::byte* base) { return Room(Layout(base), call, schedule, packed ? &*packed : nullptr); };
  const auto partials_at = [&](Layout& layout) { return Partials(layout, call, schedule.n_splits); };

  std::optional<Partials> partials;
  std::vector<Room> rooms;
  try {
    Workspace::Rooms& memory = workspace.rooms();
    memory.workers.resize(std::max(memory.workers.size(), static_cast<std::size_t>(team.size())));
    if (Packed::worth_it(call, schedule.n_blocks)) {
      Layout measure;
      packed.emplace(measure, call);
      memory.packed.reserve(measure.used());
      Layout layout(memory.packed.data());
      packed.emplace(layout, call);
      packed->clear();
    }
    const std::size_t bytes = room_at(nullptr).bytes;
    for (int worker = 0; worker < team.size(); ++worker) {
      Buffer& buffer = memory.workers[static_cast<std::size_t>(worker)];
      buffer.reserve(bytes);
      rooms.push_back(room_at(buffer.data()));
    }
    if (schedule.n_splits > 1) {
      Layout measure;
      partials_at(measure);
      memory.partials.reserve(measure.used());
      Layout layout(memory.partials.data());
      partials = partials_at(layout);
    }
  } catch (const std::bad_alloc&) {
    fail_machine("attend: not enough memory for its scratch rooms");
  }

  std::atomic<std::int64_t> pairs{0}, pairs_i16{0};
  parallel_for(team, schedule.n_items(), [&](Pos index, int worker) {
    const Item item(call, schedule, index);
    const AttendCost cost = item.walk(rooms[static_cast<std::size_t>(worker)], partials ? &*partials : nullptr);
    pairs += cost.pairs_visited;
    pairs_i16 += cost.pairs_i16;
  });
  if (partials) partials->merge_all(call, team);
  return {.pairs_visited = pairs, .pairs_i16 = pairs_i16};
}

}  // namespace saccade
