#include "saccade/attend/schedule.h"

#include <algorithm>

#include "saccade/kernel/few.h"

namespace saccade::detail {
namespace {

std::vector<HeadSet> make_sets(const AttendCall& call) {
  std::vector<HeadSet> sets;
  for (int head = 0; head < call.q.n_heads; ++head) {
    const auto h = static_cast<std::size_t>(head);
    const int kv_head =
        call.kv_head.empty() ? static_cast<int>(head * call.k.n_heads / call.q.n_heads) : call.kv_head[h];
    const Where* where = call.where.size() == 1 ? call.where[0] : call.where[h];
    auto set = std::find_if(sets.begin(), sets.end(),
                            [&](const HeadSet& s) { return s.kv_head == kv_head && s.where == where; });
    if (set == sets.end()) set = sets.insert(set, HeadSet{kv_head, where, {}});
    set->heads.push_back(head);
  }
  return sets;
}

constexpr Pos ceil_div(Pos a, Pos b) { return (a + b - 1) / b; }

}  // namespace

Schedule make_schedule(const AttendCall& call, int n_workers) {
  Schedule schedule;
  schedule.sets = make_sets(call);
  if (schedule.sets.empty() || call.q.len == 0) return schedule;
  for (const HeadSet& set : schedule.sets)
    schedule.widest = std::max(schedule.widest, static_cast<Pos>(set.heads.size()));
  // Rows of an item: enough to make converting a block of keys cheap beside visiting it (a tenth of the time at 768
  // rows of 64 in i16), few enough that their q and o (4 bytes a row and dimension) stay in half an L2.
  const Pos rows = std::clamp<Pos>(131072 / (call.q.dim + call.v.dim), 96, 768);
  schedule.block_q = std::max<Pos>(1, rows / schedule.widest);
  const Pos n_sets = static_cast<Pos>(schedule.sets.size());
  // At least four items a worker, so that the last to finish keeps nobody waiting long: smaller blocks first, then
  // splits over keys.
  const Pos wanted = n_workers == 1 ? 1 : 4 * n_workers;
  const Pos fewest = std::max<Pos>(1, ceil_div(kernel::kTileRows, schedule.widest));
  while (n_sets * ceil_div(call.q.len, schedule.block_q) < wanted && schedule.block_q > fewest) {
    schedule.block_q = std::max(fewest, schedule.block_q / 2);
  }
  schedule.block_q = std::min(schedule.block_q, call.q.len);
  schedule.n_blocks = ceil_div(call.q.len, schedule.block_q);
  if (schedule.most_rows() <= kernel::kFewRows) schedule.together = n_sets;
  const Pos items = schedule.n_parties() * schedule.n_blocks;
  if (items < wanted) {
    const Pos most = std::max<Pos>(1, call.k.len / (4 * kernel::kBlockKeys));
    schedule.n_splits = std::min(ceil_div(wanted, items), most);
  }
  return schedule;
}

}  // namespace saccade::detail
