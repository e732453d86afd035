#include "saccade/attend/look.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <vector>

#include "saccade/attend/check.h"
#include "saccade/attend/edge.h"
#include "saccade/attend/workspace.h"
#include "saccade/base/error.h"
#include "saccade/kernel/weights.h"

namespace saccade {
namespace detail {
namespace {

constexpr Pos kQueries = WeightTile::kMostQueries;
constexpr Pos kKeys = kernel::kBlockKeys;
static_assert(kKeys == WeightTile::kMostKeys);
// A block of keys is converted and turned once for all queries of a patch: 512 make that a twentieth of the time.
constexpr Pos kPatchQueries = 512;
// All heads meet at the end of a patch. What a probe keeps of one for each worker, 4 bytes a pair, stays in an L2.
constexpr Pos kPatchPairs = LookPatch::kMostPairs;
static_assert(kPatchPairs >= kPatchQueries * kKeys);

/// Blocks of queries end at multiples of kQueries, so that patterns answer sharply and batches cut a prompt alike.
Pos end_of_block(Pos position) { return (position / kQueries + 1) * kQueries; }

/// What one worker needs beside the call.
struct LookRoom {
  LookRoom(Layout layout, const AttendCall& call)
      : edge(layout, call, kQueries),
        q(layout.take<float>(kPatchQueries * call.q.dim)),
        lse(layout.take<double>(kPatchQueries)),
        k_rows(layout.take<float>(kKeys * call.q.dim)),
        k(layout.take<float>(kKeys * call.q.dim)),
        weights(layout.take<float>(kQueries * kKeys)),
        log2_weights(layout.take<float>(kQueries * kKeys)),
        row_sums(layout.take<float>(kQueries)),
        bias(call.bias.data ? layout.take<float>(kQueries * kKeys) : nullptr),
        bytes(layout.used()) {}

  Edge edge;
  float* q;     // [kPatchQueries, head_dim], negated where the scale is negative
  double* lse;  // [kPatchQueries], in units of log2
  float *k_rows, *k;
  float *weights, *log2_weights, *row_sums;
  float* bias;
  std::size_t bytes;
};

/// A block of queries of a patch and the keys it visits there.
struct Gaze {
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

/// One head's weights in a patch.
class HeadLook {
 public:
  HeadLook(const AttendCall& call, const float* lse, Range q_rows, Range keys, int head, LookRoom& room)
      : call_(call), q_rows_(q_rows), keys_(keys), head_(head), room_(room) {
    const auto h = static_cast<std::size_t>(head);
    kv_head_ = call.kv_head.empty() ? static_cast<int>(head * call.k.n_heads / call.q.n_heads) : call.kv_head[h];
    where_ = call.where.size() == 1 ? call.where[0] : call.where[h];
    find_gazes();
    const bool sees = std::ranges::any_of(gazes_, [](const Gaze& gaze) { return !gaze.visits.empty(); });
    if (sees) read_queries(lse);  // most patches of a window are empty
  }

  void show(std::span<Probe* const> probes, int worker) {
    for (Pos begin = keys_.begin; begin < keys_.end; begin += kKeys) {
      const Range keys{begin, std::min(begin + kKeys, keys_.end)};
      bool loaded = false;
      for (Gaze& gaze : gazes_) {
        bool full = false;
        if (!gaze.reaches(keys, full)) continue;
        if (!full && room_.edge.ask(call_, *where_, gaze.q_rows, Gathered(keys)) == 0) continue;
        if (!loaded) load(keys);
        loaded = true;
        find(gaze.q_rows, keys, full);
        const WeightTile tile{.head = head_,
                              .q_positions = {call_.q_begin + gaze.q_rows.begin, call_.q_begin + gaze.q_rows.end},
                              .k_positions = keys,
                              .weights = room_.weights,
                              .log2_weights = room_.log2_weights,
                              .row_sums = room_.row_sums,
                              .row_stride = kKeys,
                              .worker = worker};
        for (Probe* probe : probes) probe->observe(tile);
      }
    }
  }

 private:
  void find_gazes() {
    for (Pos row = q_rows_.begin; row < q_rows_.end;) {
      const Pos end = std::min(end_of_block(call_.q_begin + row) - call_.q_begin, q_rows_.end);
      Gaze& gaze = gazes_.emplace_back(Gaze{.q_rows = {row, end}, .visits = {}});
      where_->visits({call_.q_begin + row, call_.q_begin + end}, gaze.visits);
      clip(gaze.visits, keys_);
      row = end;
    }
  }

  void read_queries(const float* lse) {
    constexpr double kLog2e = 1.4426950408889634;
    const Pos dim = call_.q.dim;
    const Pos n = q_rows_.size();
    kernel::load_rows(call_.q.dtype, call_.q.row(q_rows_.begin, head_), call_.q.len_stride, static_cast<int>(n),
                      static_cast<int>(dim), room_.q);
    if (call_.scale < 0) std::transform(room_.q, room_.q + n * dim, room_.q, [](float value) { return -value; });
    if (is_uniform(call_, head_)) std::fill_n(room_.q, n * dim, 0.0F);
    for (Pos i = 0; i < n; ++i) {
      const double value = lse[(q_rows_.begin + i) * call_.q.n_heads + head_];
      // A row that saw nothing: all its weights are zero.
      room_.lse[i] = std::isinf(value) && value < 0 ? std::numeric_limits<double>::infinity() : value * kLog2e;
    }
  }

  void load(Range keys) {
    const int n = static_cast<int>(keys.size());
    const int dim = static_cast<int>(call_.k.dim);
    kernel::load_rows(call_.k.dtype, call_.k.row(keys.begin, kv_head_), call_.k.len_stride, n, dim, room_.k_rows);
    kernel::transpose_keys(room_.k_rows, n, dim, room_.k);
  }

  void find(Range q_rows, Range keys, bool full) {
    const Pos first = q_rows.begin - q_rows_.begin;
    kernel::WeightsJob job{.q = room_.q + first * call_.q.dim,
                           .k = room_.k,
                           .lse = room_.lse + first,
                           .n_queries = static_cast<int>(q_rows.size()),
                           .n_keys = static_cast<int>(keys.size()),
                           .head_dim = static_cast<int>(call_.q.dim)};
    if (!full) {
      job.visible = room_.edge.words(q_rows.begin);
      if (room_.bias) job.bias = scaled_bias(q_rows);
    }
    kernel::find_weights(job, {.scale = std::abs(call_.scale), .softcap = call_.softcap}, room_.weights,
                         room_.log2_weights, room_.row_sums);
  }

  const float* scaled_bias(Range q_rows) const {
    const float slope = slope_of(call_, head_);
    for (Pos query = q_rows.begin; query < q_rows.end; ++query) {
      const float* bias = room_.edge.bias(query);
      std::transform(bias, bias + kKeys, room_.bias + (query - q_rows.begin) * kKeys,
                     [slope](float value) { return slope * value; });
    }
    return room_.bias;
  }

  const AttendCall& call_;
  Range q_rows_, keys_;
  int head_, kv_head_ = 0;
  const Where* where_ = nullptr;
  LookRoom& room_;
  std::vector<Gaze> gazes_;
};

std::vector<LookRoom> make_rooms(const AttendCall& call, int n_workers, Workspace::Rooms& memory) {
  const auto n = static_cast<std::size_t>(n_workers);
  const std::size_t bytes = LookRoom(Layout(), call).bytes;
  memory.workers.resize(std::max(memory.workers.size(), n));
  std::vector<LookRoom> rooms;
  for (std::size_t worker = 0; worker < n; ++worker) {
    memory.workers[worker].reserve(bytes);
    rooms.emplace_back(Layout(memory.workers[worker].data()), call);
  }
  return rooms;
}

/// All patches, one after the other.
void look_at_patches(const AttendCall& call, const float* lse, std::span<Probe* const> probes, Team& team,
                     std::vector<LookRoom>& rooms) {
  for (Pos row = 0; row < call.q.len;) {
    const Pos end = std::min(end_of_block(call.q_begin + row + kPatchQueries - kQueries) - call.q_begin, call.q.len);
    const Pos step = kPatchPairs / (end - row) / kKeys * kKeys;
    for (Pos begin = 0; begin < call.k.len; begin += step) {
      const Range keys{begin, std::min(begin + step, call.k.len)};
      const LookPatch patch{{call.q_begin + row, call.q_begin + end}, keys};
      for (Probe* probe : probes) probe->start(patch);
      parallel_for(team, call.q.n_heads, [&](Pos head, int worker) {
        LookRoom& room = rooms[static_cast<std::size_t>(worker)];
        HeadLook(call, lse, {row, end}, keys, static_cast<int>(head), room).show(probes, worker);
      });
      for (Probe* probe : probes) probe->finish(patch, team);
    }
    row = end;
  }
}

}  // namespace
}  // namespace detail

void look(const AttendCall& call, const float* lse, std::span<Probe* const> probes, Team& team, Workspace& workspace) {
  using namespace detail;
  check(call);
  if (lse == nullptr) fail_user("attend/look: lse must be what attend saved, got none");
  try {
    std::vector<LookRoom> rooms = make_rooms(call, team.size(), workspace.rooms());
    const LookShape shape{.q_positions = {call.q_begin, call.q_begin + call.q.len},
                          .kv_len = call.k.len,
                          .n_heads = static_cast<int>(call.q.n_heads),
                          .n_workers = team.size()};
    for (Probe* probe : probes) probe->begin(shape);
    look_at_patches(call, lse, probes, team, rooms);
  } catch (const std::bad_alloc&) {
    fail_machine("attend/look: not enough memory for what the probes keep");
  }
}

}  // namespace saccade
