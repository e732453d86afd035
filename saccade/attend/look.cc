#include "saccade/attend/look.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <new>
#include <optional>
#include <vector>

#include "saccade/attend/check.h"
#include "saccade/attend/edge.h"
#include "saccade/attend/look_bf16.h"
#include "saccade/attend/workspace.h"
#include "saccade/base/error.h"
#include "saccade/kernel/matrix_unit.h"
#include "saccade/kernel/tally.h"
#include "saccade/kernel/weights.h"
#include "saccade/kernel/weights_bf16.h"

namespace saccade {
namespace detail {
namespace {

constexpr Pos kQueries = WeightTile::kMostQueries;
constexpr Pos kKeys = kernel::kBlockKeys;
static_assert(kKeys == WeightTile::kMostKeys);
// A block of keys is converted and turned once for all queries of a patch: 512 make that a twentieth of the time.
constexpr Pos kPatchQueries = 512;
constexpr Pos kMostBlocks = kPatchQueries / kQueries;
// All heads meet at the end of a patch. What a probe keeps of one for each worker, 4 bytes a pair, stays in an L2.
constexpr Pos kPatchPairs = LookPatch::kMostPairs;
static_assert(kPatchPairs >= kPatchQueries * kKeys);

/// Blocks of queries end at multiples of kQueries, so that patterns answer sharply and batches cut a prompt alike.
Pos end_of_block(Pos position) { return (position / kQueries + 1) * kQueries; }

/// The weights of a block of queries and one of keys, as WeightTile shows them.
struct Found {
  Found() = default;
  explicit Found(Layout& layout)
      : weights(layout.take<float>(kQueries * kKeys)),
        row_sums(layout.take<float>(kQueries)),
        row_log_sums(layout.take<float>(kQueries)) {}

  float *weights = nullptr, *row_sums = nullptr, *row_log_sums = nullptr;
};

/// What one worker needs beside the call.
struct LookRoom {
  LookRoom(Layout layout, const AttendCall& call, bool in_bf16)
      : edge(layout, call, kQueries),
        q(layout.take<float>(kPatchQueries * call.q.dim)),
        lse(layout.take<double>(kPatchQueries)),
        k_rows(layout.take<float>(kKeys * call.q.dim)),
        k(layout.take<float>(kKeys * call.q.dim)),
        log2_weights(layout.take<float>(kQueries * kKeys)),
        column_sums(layout.take<float>(kKeys)),
        bias(call.bias.data ? layout.take<float>(kQueries * kKeys) : nullptr) {
    if (in_bf16) rounded.emplace(layout, call);
    for (Found& one : found) one = Found(layout);
    bytes = layout.used();
  }

  Edge edge;
  float* q;     // [kPatchQueries, head_dim], negated where the scale is negative
  double* lse;  // [kPatchQueries], in units of log2
  float *k_rows, *k;
  float *log2_weights, *column_sums;
  float* bias;
  std::optional<RoundedKeys> rounded;
  std::array<Found, kMostBlocks> found;  // of the block of keys at hand, in the order of the blocks of queries
  std::size_t bytes;
};

/// Calls body(number, rows of the call) for each block of queries of a patch.
template <class Body>
void for_each_block(const AttendCall& call, Range q_rows, const Body& body) {
  Pos number = 0;
  for (Pos row = q_rows.begin; row < q_rows.end; ++number) {
    const Pos end = std::min(end_of_block(call.q_begin + row) - call.q_begin, q_rows.end);
    body(number, Range{row, end});
    row = end;
  }
}

int kv_head_of(const AttendCall& call, int head) {
  return call.kv_head.empty() ? static_cast<int>(head * call.k.n_heads / call.q.n_heads)
                              : call.kv_head[static_cast<std::size_t>(head)];
}

/// A block of queries of a patch and the keys it visits there.
struct Gaze {
  Pos block;     // its number in the patch
  Range q_rows;  // of the call
  VisitList visits;
  std::size_t next = 0;  // the first visit that does not end before the keys at hand

  /// Sets `full` to: all of the block see all of the keys. False when none is visited.
  bool reaches(Range keys, bool& full) {
    while (next < visits.size() && visits[next].keys.end <= keys.begin) ++next;
    if (next == visits.size() || visits[next].keys.begin >= keys.end) return false;
    const Visit& visit = visits[next];
    full = visit.full && visit.keys.begin <= keys.begin && visit.keys.end >= keys.end;
    return true;
  }
};

/// What the heads of a look in bf16 share.
struct Rounded {
  Rounded(Layout& layout, const AttendCall& call, const Centres* centres)
      : q(layout, call, centres, kMostBlocks), k(layout, call) {}

  RoundedQueries q;
  SharedKeys k;
};

/// One head's weights in a patch. `rounded`: null in f32.
class HeadLook {
 public:
  HeadLook(const AttendCall& call, const float* lse, Rounded* rounded, Range q_rows, Range keys, int head,
           LookRoom& room, TileWants wants)
      : call_(call),
        lse_(lse),
        rounded_(rounded),
        q_rows_(q_rows),
        keys_(keys),
        head_(head),
        kv_head_(kv_head_of(call, head)),
        centre_(rounded ? rounded->q.centre(kv_head_) : nullptr),
        where_(call.where[call.where.size() == 1 ? 0 : static_cast<std::size_t>(head)]),
        room_(room),
        wants_(wants) {
    for_each_block(call, q_rows, [&](Pos block, Range rows) {
      Gaze& gaze = gazes_.emplace_back(Gaze{.block = block, .q_rows = rows, .visits = {}});
      where_->visits({call_.q_begin + rows.begin, call_.q_begin + rows.end}, gaze.visits);
      clip(gaze.visits, keys_);
    });
  }

  /// All weights of a block of keys are found before probes see the first: the matrix unit falls asleep while they
  /// look, and waking it takes a seventh of the time of a tile's weights. These wait, up to 256 KiB, in the
  /// second-level cache.
  void show(std::span<Probe* const> probes, int worker) {
    for (Pos begin = keys_.begin; begin < keys_.end; begin += kKeys) {
      const Range keys{begin, std::min(begin + kKeys, keys_.end)};
      has_keys_ = false, rounded_keys_ = nullptr;
      WeightTile tiles[kMostBlocks];
      std::size_t n = 0;
      for (Gaze& gaze : gazes_) {
        bool full = false;
        if (!gaze.reaches(keys, full)) continue;
        if (!full && room_.edge.ask(call_, *where_, gaze.q_rows, Gathered(keys)) == 0) continue;
        const Found& to = room_.found[n];
        if (!rounded_ || !find_rounded(gaze, keys, full, to)) find(gaze, keys, full, to);
        tiles[n++] = {.head = head_,
                      .q_positions = {call_.q_begin + gaze.q_rows.begin, call_.q_begin + gaze.q_rows.end},
                      .k_positions = keys,
                      .weights = to.weights,
                      .row_sums = to.row_sums,
                      .row_log_sums = wants_.row_log_sums ? to.row_log_sums : nullptr,
                      .row_stride = kKeys,
                      .worker = worker};
      }
      for (WeightTile& tile : std::span(tiles, n)) {
        if (wants_.column_sums) sum_columns(tile);
        for (Probe* probe : probes) probe->observe(tile);
      }
    }
  }

 private:
  /// When they are first wanted: most patches of a window are empty, and in bf16 hardly one is.
  void read_all_queries() {
    if (has_queries_) return;
    has_queries_ = true;
    read_queries(call_, head_, q_rows_, room_.q);
    for (Pos i = 0; i < q_rows_.size(); ++i) {
      room_.lse[i] = log2_of(lse_[(q_rows_.begin + i) * call_.q.n_heads + head_]);
    }
  }

  void load(Range keys) {
    if (has_keys_) return;
    has_keys_ = true;
    read_keys(call_, kv_head_, keys, centre_, room_.k_rows);
    kernel::transpose_keys(room_.k_rows, static_cast<int>(keys.size()), static_cast<int>(call_.k.dim), room_.k);
  }

  void find(const Gaze& gaze, Range keys, bool full, const Found& to) {
    read_all_queries();
    load(keys);
    const Pos first = gaze.q_rows.begin - q_rows_.begin;
    kernel::WeightsJob job{.q = room_.q + first * call_.q.dim,
                           .k = room_.k,
                           .lse = rounded_ ? rounded_->q.lse(head_, gaze.block) : room_.lse + first,
                           .n_queries = static_cast<int>(gaze.q_rows.size()),
                           .n_keys = static_cast<int>(keys.size()),
                           .head_dim = static_cast<int>(call_.q.dim)};
    mask(job, gaze.q_rows, full);
    kernel::find_weights(job, rule(), to.weights, room_.log2_weights, to.row_sums);
    if (wants_.row_log_sums) {
      kernel::dot_rows({to.weights, kKeys, job.n_queries, job.n_keys}, room_.log2_weights, kKeys, to.row_log_sums);
    }
  }

  /// False where a query, or a key that one of them sees, holds NaN or inf.
  bool find_rounded(const Gaze& gaze, Range keys, bool full, const Found& to) {
    const std::uint32_t* q = rounded_->q.tiles(head_, gaze.block);
    if (!q) return false;
    if (!rounded_keys_) round(keys);
    if (rounded_keys_->any_wild(full ? nullptr : room_.edge.words(gaze.q_rows.begin), gaze.q_rows.size())) return false;
    kernel::Bf16WeightsJob job{.q = q,
                               .k = rounded_keys_->tiles(),
                               .lse = rounded_->q.lse(head_, gaze.block),
                               .n_queries = static_cast<int>(gaze.q_rows.size()),
                               .n_keys = static_cast<int>(keys.size()),
                               .head_dim = static_cast<int>(call_.q.dim)};
    mask(job, gaze.q_rows, full);
    kernel::find_weights_bf16(job, rule(), to.weights, to.row_sums, wants_.row_log_sums ? to.row_log_sums : nullptr);
    return true;
  }

  void round(Range keys) {
    const Pos block = (keys.begin - keys_.begin) / kKeys;
    rounded_keys_ = &rounded_->k.get(kv_head_, block, *room_.rounded,
                                     [&](RoundedKeys& to) { to.read(call_, kv_head_, keys, centre_, room_.k_rows); });
  }

  void sum_columns(WeightTile& tile) const {
    kernel::sum_columns(
        {tile.weights, tile.row_stride, static_cast<int>(tile.n_queries()), static_cast<int>(tile.n_keys())},
        room_.column_sums, nullptr);
    tile.column_sums = room_.column_sums;
  }

  kernel::ScoreRule rule() const { return {.scale = std::abs(call_.scale), .softcap = call_.softcap}; }

  void mask(auto& job, Range q_rows, bool full) const {
    if (full) return;
    job.visible = room_.edge.words(q_rows.begin);
    if (room_.bias) job.bias = scaled_bias(q_rows, job.n_keys);
  }

  const float* scaled_bias(Range q_rows, Pos n_keys) const {
    const float slope = slope_of(call_, head_);
    for (Pos query = q_rows.begin; query < q_rows.end; ++query) {
      const float* bias = room_.edge.bias(query);
      float* const scaled = room_.bias + (query - q_rows.begin) * kKeys;
      std::transform(bias, bias + n_keys, scaled, [slope](float value) { return slope * value; });
      std::fill(scaled + n_keys, scaled + kKeys, 0.0F);
    }
    return room_.bias;
  }

  const AttendCall& call_;
  const float* lse_;
  Rounded* rounded_;
  Range q_rows_, keys_;
  int head_, kv_head_;
  const float* centre_;  // taken off keys; null: nothing
  const Where* where_;
  LookRoom& room_;
  TileWants wants_;
  std::vector<Gaze> gazes_;
  bool has_queries_ = false, has_keys_ = false;
  const RoundedKeys* rounded_keys_ = nullptr;  // the block at hand, as has_keys_; null: not yet
};

std::vector<LookRoom> make_rooms(const AttendCall& call, bool in_bf16, int n_workers, Workspace::Rooms& memory) {
  const auto n = static_cast<std::size_t>(n_workers);
  const std::size_t bytes = LookRoom(Layout(), call, in_bf16).bytes;
  memory.workers.resize(std::max(memory.workers.size(), n));
  std::vector<LookRoom> rooms;
  for (std::size_t worker = 0; worker < n; ++worker) {
    memory.workers[worker].reserve(bytes);
    rooms.emplace_back(Layout(memory.workers[worker].data()), call, in_bf16);
  }
  return rooms;
}

/// Lays out a T in memory of the workspace.
template <class T, class... Rest>
void place(std::optional<T>& object, Buffer& memory, const Rest&... rest) {
  Layout measure;
  object.emplace(measure, rest...);
  memory.reserve(measure.used());
  Layout layout(memory.data());
  object.emplace(layout, rest...);
}

/// A call, patch by patch.
class Look {
 public:
  Look(const AttendCall& call, const float* lse, std::span<Probe* const> probes, Team& team, Workspace::Rooms& memory)
      : call_(call), lse_(lse), probes_(probes), team_(team) {
    for (const Probe* probe : probes) {
      const TileWants wants = probe->tile_wants();
      wants_.row_log_sums |= wants.row_log_sums, wants_.column_sums |= wants.column_sums;
    }
    const Schedule schedule = make_schedule(call, 1);
    const bool in_bf16 = looks_in_bf16(call, schedule);
    if (in_bf16 && Centres::wanted(call, schedule)) {
      place(centres_, memory.centres, call);
      centres_->find(call, schedule);
    }
    if (in_bf16) place(rounded_, memory.packed, call, centres_ ? &*centres_ : nullptr);
    rooms_ = make_rooms(call, in_bf16, team.size(), memory);
    order_heads();
  }

  void at_all_patches() {
    for (Pos row = 0; row < call_.q.len;) {
      const Pos last_block = call_.q_begin + row + kPatchQueries - kQueries;
      const Range rows{row, std::min(end_of_block(last_block) - call_.q_begin, call_.q.len)};
      if (rounded_) round(rows);
      const Pos step = kPatchPairs / rows.size() / kKeys * kKeys;
      for (Pos key = 0; key < call_.k.len; key += step) at(rows, {key, std::min(key + step, call_.k.len)});
      row = rows.end;
    }
  }

 private:
  void round(Range rows) {
    parallel_for(team_, call_.q.n_heads, [&](Pos at, int worker) {
      const int head = static_cast<int>(at);
      for_each_block(call_, rows, [&](Pos block, Range q_rows) {
        rounded_->q.read(call_, lse_, head, kv_head_of(call_, head), block, q_rows, room(worker).q);
      });
    });
  }

  void at(Range rows, Range keys) {
    const LookPatch patch{{call_.q_begin + rows.begin, call_.q_begin + rows.end}, keys};
    for (Probe* probe : probes_) probe->start(patch);
    if (rounded_) rounded_->k.clear((keys.size() + kKeys - 1) / kKeys);
    parallel_for(team_, call_.q.n_heads, [&](Pos turn, int worker) {
      std::optional<kernel::MatrixSession> session;
      if (rounded_) session.emplace();
      const int head = heads_[static_cast<std::size_t>(turn)];
      HeadLook(call_, lse_, rounded_ ? &*rounded_ : nullptr, rows, keys, head, room(worker), wants_)
          .show(probes_, worker);
    });
    for (Probe* probe : probes_) probe->finish(patch, team_);
  }

  /// Heads of one KV head far apart: those that workers take at the same time round different keys.
  void order_heads() {
    std::vector<int> n_before(static_cast<std::size_t>(call_.k.n_heads), 0), rank;
    for (int head = 0; head < call_.q.n_heads; ++head) {
      heads_.push_back(head);
      rank.push_back(n_before[static_cast<std::size_t>(kv_head_of(call_, head))]++);
    }
    std::ranges::stable_sort(heads_, {}, [&](int head) { return rank[static_cast<std::size_t>(head)]; });
  }

  LookRoom& room(int worker) { return rooms_[static_cast<std::size_t>(worker)]; }

  const AttendCall& call_;
  const float* lse_;
  std::span<Probe* const> probes_;
  Team& team_;
  TileWants wants_;  // of all probes
  std::optional<Centres> centres_;
  std::optional<Rounded> rounded_;
  std::vector<LookRoom> rooms_;
  std::vector<int> heads_;  // in the order in which they are looked at
};

}  // namespace
}  // namespace detail

void look(const AttendCall& call, const float* lse, std::span<Probe* const> probes, Team& team, Workspace& workspace) {
  using namespace detail;
  check(call);
  if (lse == nullptr) fail_user("attend/look: lse must be what attend saved, got none");
  try {
    Look look(call, lse, probes, team, workspace.rooms());
    const LookShape shape{.q_positions = {call.q_begin, call.q_begin + call.q.len},
                          .kv_len = call.k.len,
                          .n_heads = static_cast<int>(call.q.n_heads),
                          .n_workers = team.size()};
    for (Probe* probe : probes) probe->begin(shape);
    look.at_all_patches();
  } catch (const std::bad_alloc&) {
    fail_machine("attend/look: not enough memory for what the probes keep");
  }
}

}  // namespace saccade
