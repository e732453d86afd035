#include "saccade/attend/attend.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "saccade/attend/centre.h"
#include "saccade/attend/check.h"
#include "saccade/attend/edge.h"
#include "saccade/attend/few.h"
#include "saccade/attend/gathered.h"
#include "saccade/attend/packed.h"
#include "saccade/attend/row_record.h"
#include "saccade/attend/schedule.h"
#include "saccade/attend/splits.h"
#include "saccade/attend/tiles.h"
#include "saccade/attend/workspace.h"
#include "saccade/base/error.h"
#include "saccade/kernel/matrix_unit.h"
#include "saccade/kernel/visit.h"

namespace saccade {
namespace detail {
namespace {

/// Keys of short visits on their way into one kernel call: what all rows see, and what only some see. A full basket of
/// the former waits for the next to be known.
struct Basket {
  Gathered all, some, waiting, alone;
};

/// What one worker needs beside the call.
struct Room {
  Room(Layout layout, const AttendCall& call, const Schedule& schedule, Shared* shared, const Centres* centres,
       const RowWants* wants)
      : edge(layout, call, schedule.most_queries) {
    const Pos together = schedule.parties[0].n_sets;
    if (schedule.most_rows <= kernel::kFewRows) {
      float* scratch = Few::take_scratch(layout);
      for (Pos i = 0; i < together; ++i) few.emplace_back(layout, call, scratch, wants);
    } else {
      tiles.emplace_back(layout, call, schedule.most_rows, shared, centres, wants);
    }
    for (Pos i = 0; i < together; ++i) {
      baskets.push_back(layout.take<Basket>(1));
      if (baskets.back()) new (baskets.back()) Basket;
    }
    bytes = layout.used();
  }

  Edge edge;
  std::vector<Few> few;      // one a set, when all sets are small
  std::vector<Tiles> tiles;  // else one
  std::vector<Basket*> baskets;
  std::size_t bytes = 0;
};

/// The rows of a block of queries in a set of heads, on their way through the keys they visit.
template <class Seen>
class Walk {
 public:
  Walk(const AttendCall& call, const RowMap& rows, VisitList visits, Seen& seen, Basket& basket)
      : call_(call),
        rows_(rows),
        visits_(std::move(visits)),
        seen_(seen),
        all_(&basket.all),
        waiting_(&basket.waiting),
        some_(basket.some),
        alone_(basket.alone) {
    if (!visits_.empty()) at_ = visits_.front().keys.begin;
    for (Gathered* keys : {all_, waiting_, &some_}) keys->clear();
    seen_.start(call, rows);
  }

  /// Where the next key lies, or the largest position when there is none.
  Pos next() const { return index_ < visits_.size() ? at_ : std::numeric_limits<Pos>::max(); }

  /// Takes up blocks of keys until the next one begins at `until` or later.
  void go(Pos until, Edge& edge) {
    while (next() < until) {
      const Visit& visit = visits_[index_];
      // Blocks end at multiples of their size, so that all items cut the keys alike and can share them.
      const Pos end = std::min((at_ / kernel::kBlockKeys + 1) * kernel::kBlockKeys, visit.keys.end);
      take({at_, end}, visit.full, edge);
      at_ = end;
      if (at_ == visit.keys.end && ++index_ < visits_.size()) at_ = visits_[index_].keys.begin;
    }
  }

  /// Sees what is still in the basket.
  void finish(Edge& edge) {
    see_rest(edge);
    seen_.end(call_);
    cost_.pairs_skipped += seen_.n_skipped();
  }

  Seen& seen() { return seen_; }
  const RowMap& rows() const { return rows_; }
  const AttendCost& cost() const { return cost_; }

 private:
  void see_rest(Edge& edge) {
    see_waiting(all_);
    if (!some_.empty() &&
        all_->size() <= some_.room()) {  // one call for both: the diagonal's first key is the last full
      all_->add(some_);
      see_some(*all_, edge);
      return;
    }
    if (!all_->empty()) see_all(*all_, nullptr);
    if (!some_.empty()) see_some(some_, edge);
  }

  void take(Range keys, bool full, Edge& edge) {
    if (seen_.alone(keys)) {
      alone_.clear();
      alone_.add(keys);
      return full ? see_all(alone_, nullptr, {keys.end, visits_[index_].keys.end}) : see_some(alone_, edge);
    }
    while (!keys.empty()) {
      Gathered& basket = full ? *all_ : some_;
      basket.take(keys);
      if (basket.room() > 0) return;
      if (full) {
        see_waiting(&basket);
        std::swap(waiting_, all_);
      } else {
        see_some(basket, edge);
      }
      (full ? *all_ : some_).clear();
    }
  }

  void see_waiting(const Gathered* next) {
    if (!waiting_->empty()) see_all(*waiting_, next);
    waiting_->clear();
  }

  void see_all(const Gathered& keys, const Gathered* next, Range behind = {}) {
    count(rows_.q_rows.size() * keys.size(), seen_.see_all(call_, keys, next, behind));
  }

  void see_some(const Gathered& keys, Edge& edge) {
    if (const Pos visible = edge.ask(call_, *rows_.set->where, rows_.q_rows, keys)) {
      count(visible, seen_.see_edge(call_, edge));
    }
  }

  void count(Pos pairs, Precision precision) {
    pairs *= rows_.n_heads();
    cost_.pairs_visited += pairs;
    if (precision == Precision::kI16) cost_.pairs_i16 += pairs;
    if (precision == Precision::kBf16) cost_.pairs_bf16 += pairs;
  }

  const AttendCall& call_;
  RowMap rows_;
  VisitList visits_;
  Seen& seen_;
  Gathered *all_, *waiting_;
  Gathered &some_, &alone_;
  std::size_t index_ = 0;  // the visit at hand
  Pos at_ = 0;             // the next key of it
  AttendCost cost_;
};

void visits_of(const AttendCall& call, const Where& where, Range q_rows, VisitList& out) {
  where.visits({call.q_begin + q_rows.begin, call.q_begin + q_rows.end}, out);
  clip(out, {0, call.k.len});
}

/// The visits of all sets and blocks, where each list is shared out among several items: asking once for each of them
/// would take longer than a decode step's few keys.
std::span<const VisitList> visits_to_split(const AttendCall& call, const Schedule& schedule,
                                           std::vector<VisitList>& lists) {
  if (schedule.n_splits == 1) return {};
  lists.resize(std::max(lists.size(), static_cast<std::size_t>(schedule.n_blocks())));
  for (const Party& party : schedule.parties) {
    for (Pos set = party.first_set; set < party.first_set + party.n_sets; ++set) {
      for (Pos block = 0; block < party.n_blocks; ++block) {
        visits_of(call, *schedule.sets[static_cast<std::size_t>(set)].where, party.block(block, call.q.len),
                  lists[static_cast<std::size_t>(schedule.list_of(set, block))]);
      }
    }
  }
  return lists;
}

/// One item: a block of queries, a split of the keys, and a set of heads, or, when rows are few, all sets in step: KV
/// heads lie side by side in a cache, and what the CPU fetches along with one of them is the next one's.
class Item {
 public:
  /// `visits`: one list for each set and block, if keys are split; else empty.
  Item(const AttendCall& call, const Schedule& schedule, std::span<const VisitList> visits, Pos index)
      : call_(call), schedule_(schedule), party_(schedule.party_of(index)), visits_(visits) {
    index -= party_.first_item;
    split_ = index % schedule.n_splits;
    block_ = index / schedule.n_splits;
    q_rows_ = party_.block(block_, call.q.len);
  }

  /// `teller`: of the probes, if the call has any.
  AttendCost walk(Room& room, const Partials* partials, RowTeller* teller) const {
    if (!room.few.empty()) return walk(room.few, room, partials, teller);
    std::optional<kernel::MatrixSession> session;
    if (room.tiles[0].precision() == Precision::kBf16) session.emplace();
    return walk(room.tiles, room, partials, teller);
  }

 private:
  template <class Seen>
  AttendCost walk(std::vector<Seen>& seen, Room& room, const Partials* partials, RowTeller* teller) const {
    std::vector<Walk<Seen>> walks;
    walks.reserve(seen.size());
    for (std::size_t i = 0; i < seen.size(); ++i) {
      const HeadSet& set = schedule_.sets[static_cast<std::size_t>(party_.first_set) + i];
      walks.emplace_back(call_, RowMap{&set, q_rows_}, visits(party_.first_set + static_cast<Pos>(i)), seen[i],
                         *room.baskets[i]);
    }
    const auto next = [&] {
      Pos at = std::numeric_limits<Pos>::max();
      for (const Walk<Seen>& walk : walks) at = std::min(at, walk.next());
      return at;
    };
    for (Pos at; (at = next()) < call_.k.len;) {
      for (Walk<Seen>& walk : walks) walk.go(at + kernel::kBlockKeys, room.edge);
    }
    AttendCost cost;
    for (Walk<Seen>& walk : walks) {
      walk.finish(room.edge);
      for (Pos row = 0; row < walk.rows().size(); ++row) write(walk.seen(), walk.rows(), row, partials, teller);
      cost += walk.cost();
    }
    return cost;
  }

  VisitList visits(Pos set) const {
    if (!visits_.empty()) {
      return share_of(visits_[static_cast<std::size_t>(schedule_.list_of(set, block_))], split_, schedule_.n_splits);
    }
    VisitList list;
    visits_of(call_, *schedule_.sets[static_cast<std::size_t>(set)].where, q_rows_, list);
    return list;
  }

  template <class Seen>
  void write(Seen& seen, const RowMap& rows, Pos row, const Partials* partials, RowTeller* teller) const {
    const Pos query = rows.query(row);
    const int head = rows.head(row);
    if (partials) {
      partials->lse(split_, query, head) = seen.finish(row, partials->o(split_, query, head));
      if (teller) seen.finish_notes(row, partials->record(split_, query, head));
    } else {
      float* o = call_.o.row(query, head);
      Partial all{{o, static_cast<std::size_t>(call_.o.dim)}};
      all.lse = seen.finish(row, o);
      add_sink(call_, head, all);
      if (call_.lse) call_.lse[query * call_.q.n_heads + head] = all.lse;
      if (!teller) return;
      seen.finish_notes(row, teller->scratch());
      teller->tell(teller->scratch(), query, head, all.lse, all.o);
    }
  }

  const AttendCall& call_;
  const Schedule& schedule_;
  const Party& party_;
  std::span<const VisitList> visits_;
  Pos split_ = 0, block_ = 0;
  Range q_rows_;
};

/// What edits do to the outputs; `start` and add_sink have seen to the scores.
void scale_outputs(const AttendCall& call) {
  for (std::size_t head = 0; head < call.edits.size(); ++head) {
    const float gain = call.edits[head].gain;
    if (gain == 1.0F) continue;
    for (Pos query = 0; query < call.q.len; ++query) {
      float* o = call.o.row(query, static_cast<Pos>(head));
      std::transform(o, o + call.o.dim, o, [gain](float value) { return gain == 0.0F ? 0.0F : gain * value; });
    }
  }
}

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
  constexpr Pos kMostPosition = Pos{1} << 48;  // keeps sums of positions and lengths far from overflow
  if (call.q_begin > kMostPosition) fail("q_begin must be at most 2^48, got " + std::to_string(call.q_begin));
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
  if (!call.edits.empty()) one_per_head("edits", call.edits.size());
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

/// Asks the probes of a call, if it has any, what they want to know.
std::optional<RowWants> ask(const AttendCall& call, const Team& team) {
  if (call.probes.empty()) return {};
  const LookShape shape{.q_positions = {call.q_begin, call.q_begin + call.q.len},
                        .kv_len = call.k.len,
                        .n_heads = static_cast<int>(call.q.n_heads),
                        .n_workers = team.size()};
  RowWants wants;
  for (RowProbe* probe : call.probes) probe->begin(shape), probe->want(wants);
  return wants;
}

void check_numbers(const AttendCall& call) {
  if (call.bias.data && call.bias.dtype != DType::f32 && call.bias.dtype != DType::f16) {
    fail("bias must be f32 or f16, got " + std::string(name_of(call.bias.dtype)));
  }
  if (!std::isfinite(call.scale) || !(call.softcap >= 0) || !std::isfinite(call.softcap)) {
    fail("scale must be finite and softcap finite and >= 0");
  }
  for (const HeadEdit& edit : call.edits) {
    if (!std::isfinite(edit.gain)) fail("gains of edits must be finite, got " + std::to_string(edit.gain));
  }
  for (const float slope : call.slopes) {
    if (!std::isfinite(slope)) fail("slopes must be finite, got " + std::to_string(slope));
  }
}

}  // namespace

void check(const AttendCall& call) {
  check_shapes(call);
  check_heads(call);
  check_numbers(call);
  check_precision(call.precision);
}

}  // namespace detail

void check_precision(Precision precision) {
  if (precision == Precision::kI16 && !kernel::has_fixed()) {
    fail_machine("precision i16 needs a CPU with AVX-512 VNNI (target AVX3)");
  }
  if (precision == Precision::kBf16 && !kernel::has_bf16()) {
    fail_machine("precision bf16 needs a CPU with AMX, or with AVX-512 (target AVX3) to emulate it");
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
  if (schedule.n_items == 0) return {};
  std::optional<Shared> shared;
  std::optional<Centres> centres;
  std::optional<RowWants> wants;
  std::vector<RowTeller> tellers;  // one a worker, if there are probes
  const auto room_at = [&](std::byte* base) {
    return Room(Layout(base), call, schedule, shared ? &*shared : nullptr, centres ? &*centres : nullptr,
                wants ? &*wants : nullptr);
  };
  const auto partials_at = [&](Layout& layout) {
    return Partials(layout, call, schedule.n_splits, wants ? &*wants : nullptr);
  };

  std::optional<Partials> partials;
  std::vector<Room> rooms;
  try {
    wants = ask(call, team);
    for (int worker = 0; wants && worker < team.size(); ++worker) tellers.emplace_back(call, *wants);
    Workspace::Rooms& memory = workspace.rooms();
    memory.workers.resize(std::max(memory.workers.size(), static_cast<std::size_t>(team.size())));
    if (Packed::worth_it(call, schedule.n_blocks())) {
      Layout measure;
      shared.emplace(measure, call);
      memory.packed.reserve(measure.used());
      Layout layout(memory.packed.data());
      shared.emplace(layout, call);
      shared->clear();
    }
    if (Centres::wanted(call, schedule)) {
      Layout measure;
      centres.emplace(measure, call);
      memory.centres.reserve(measure.used());
      Layout layout(memory.centres.data());
      centres.emplace(layout, call);
      centres->find(call, schedule);
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
    fail_machine("attend: not enough memory for its scratch rooms and what probes keep");
  }

  const std::span<const VisitList> visits = visits_to_split(call, schedule, workspace.rooms().visits);
  std::vector<AttendCost> costs(rooms.size());  // one a worker
  const auto walk = [&](Pos index, int worker) {
    const auto w = static_cast<std::size_t>(worker);
    costs[w] += Item(call, schedule, visits, index)
                    .walk(rooms[w], partials ? &*partials : nullptr, tellers.empty() ? nullptr : &tellers[w]);
  };
  if (schedule.most_rows <= kernel::kFewRows) {
    // What a split asks for beyond its last block is the next split's first.
    parallel_for_runs(team, schedule.n_items, walk);
  } else {
    // Later queries see more keys. The longest go first, and what is left at the end keeps nobody waiting long: by
    // pairs, 4 heads of 8,192 queries on 8 workers idle for 5 % of the time, 16 the other way round.
    parallel_for(team, schedule.n_items, [&](Pos taken, int worker) { walk(schedule.n_items - 1 - taken, worker); });
  }
  if (partials) partials->merge_all(call, team, tellers);
  scale_outputs(call);
  return std::accumulate(costs.begin(), costs.end(), AttendCost{},
                         [](AttendCost a, const AttendCost& b) { return a += b; });
}

}  // namespace saccade
