#include "saccade/attend/schedule.h"

#include "saccade/kernel/few.h"

namespace saccade::detail {
namespace {

constexpr Pos ceil_div(Pos a, Pos b) { return (a + b - 1) / b; }

Pos width(const HeadSet& set) { return static_cast<Pos>(set.heads.size()); }

/// Rows of an item: enough to make converting a block of keys cheap beside visiting it (a tenth of the time at 768
/// rows of 64 in i16), few enough that their q and o (4 bytes a row and dimension) stay in half an L2, or, in f32,
/// which keeps no rounded copies beside them, in three quarters (3 % faster at 128 than in half).
Pos rows_of_an_item(const AttendCall& call) {
  const Pos numbers = call.precision == Precision::kF32 ? 196608 : 131072;
  return std::clamp<Pos>(numbers / (call.q.dim + call.v.dim), 96, 768);
}

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

/// A step of queries in all heads of a wide set may be too many rows: such a set falls into several of fewer heads.
std::vector<HeadSet> split_wide(const std::vector<HeadSet>& sets, Pos q_len, Pos rows) {
  std::vector<HeadSet> out;
  for (const HeadSet& set : sets) {
    const Pos step = set.where->q_step();
    const Pos n_parts = step == 1 ? 1 : std::min(width(set), ceil_div(std::min(step, q_len) * width(set), rows));
    for (Pos part = 0; part < n_parts; ++part) {
      HeadSet some{set.kv_head, set.where, {}};
      some.heads.assign(set.heads.begin() + width(set) * part / n_parts,
                        set.heads.begin() + width(set) * (part + 1) / n_parts);
      out.push_back(std::move(some));
    }
  }
  return out;
}

/// Queries of a block whose visits are sharp at multiples of `step`: one step, since more would visit the union; but
/// not fewer rows than two thirds of a tile, nor many more than an item's.
Pos sharp_block(Pos step, Pos n_heads, Pos rows) {
  const Pos least = ceil_div(kernel::kTileRows * 2 / 3, n_heads);
  Pos block_q = ceil_div(least, step) * step;
  while (block_q * n_heads > 2 * rows && block_q % 2 == 0) block_q /= 2;
  return block_q;
}

void cut(Party& party, Pos block_q, Pos first_position, Pos q_len) {
  party.block_q = std::min(block_q, q_len);
  party.begin = 0;
  if (first_position % block_q != 0 && first_position / block_q != (first_position + q_len - 1) / block_q) {
    party.block_q = block_q;
    party.begin = -(first_position % block_q);
  }
  party.n_blocks = ceil_div(q_len - party.begin, party.block_q);
}

Pos count_blocks(const std::vector<Party>& parties) {
  Pos n = 0;
  for (const Party& party : parties) n += party.n_blocks;
  return n;
}

/// One party a set.
std::vector<Party> make_parties(const AttendCall& call, const std::vector<HeadSet>& sets, Pos rows, Pos wanted) {
  std::vector<Party> parties;
  std::vector<Pos> free;  // blocks of patterns that are sharp for any
  for (const HeadSet& set : sets) {
    Party& party = parties.emplace_back();
    party.first_set = static_cast<Pos>(parties.size()) - 1;
    const Pos step = set.where->q_step();
    free.push_back(step == 1 ? std::max<Pos>(1, rows / width(set)) : 0);
    if (step == 1) {
      cut(party, free.back(), 0, call.q.len);
    } else {
      cut(party, sharp_block(step, width(set), rows), call.q_begin, call.q.len);
    }
  }
  for (bool smaller = true; smaller && count_blocks(parties) < wanted;) {
    smaller = false;
    for (std::size_t i = 0; i < sets.size(); ++i) {
      const Pos fewest = std::max<Pos>(1, ceil_div(kernel::kTileRows, width(sets[i])));
      if (free[i] <= fewest) continue;
      free[i] = std::max(fewest, free[i] / 2);
      cut(parties[i], free[i], 0, call.q.len);
      smaller = true;
    }
  }
  return parties;
}

bool cut_alike(const std::vector<Party>& parties) {
  return std::all_of(parties.begin(), parties.end(), [&](const Party& party) {
    return party.block_q == parties[0].block_q && party.begin == parties[0].begin;
  });
}

}  // namespace

Pos Schedule::n_blocks() const {
  Pos n = 0;
  for (const Party& party : parties) n += party.n_sets * party.n_blocks;
  return n;
}

Pos Schedule::list_of(Pos set, Pos block) const {
  Pos before = 0;
  for (const Party& party : parties) {
    if (set < party.first_set + party.n_sets) return before + (set - party.first_set) * party.n_blocks + block;
    before += party.n_sets * party.n_blocks;
  }
  return before;
}

const Party& Schedule::party_of(Pos item) const {
  const auto behind = std::upper_bound(parties.begin(), parties.end(), item,
                                       [](Pos i, const Party& party) { return i < party.first_item; });
  return *(behind - 1);
}

Schedule make_schedule(const AttendCall& call, int n_workers) {
  Schedule schedule;
  if (call.q.n_heads == 0 || call.q.len == 0) return schedule;
  const Pos rows = rows_of_an_item(call);
  schedule.sets = split_wide(make_sets(call), call.q.len, rows);
  // At least four items a worker, so that the last to finish keeps nobody waiting long: smaller blocks first, then
  // splits over keys.
  const Pos wanted = n_workers == 1 ? 1 : 4 * n_workers;
  schedule.parties = make_parties(call, schedule.sets, rows, wanted);
  for (const Party& party : schedule.parties) {
    schedule.most_queries = std::max(schedule.most_queries, party.block_q);
    const HeadSet& set = schedule.sets[static_cast<std::size_t>(party.first_set)];
    schedule.most_rows = std::max(schedule.most_rows, std::min(party.block_q, call.q.len) * width(set));
  }
  if (schedule.most_rows <= kernel::kFewRows && cut_alike(schedule.parties)) {
    schedule.parties.resize(1);
    schedule.parties[0].n_sets = static_cast<Pos>(schedule.sets.size());
  }
  const Pos items = count_blocks(schedule.parties);
  if (items < wanted) {
    const Pos most = std::max<Pos>(1, call.k.len / (4 * kernel::kBlockKeys));
    schedule.n_splits = std::min(ceil_div(wanted, items), most);
  }
  for (Party& party : schedule.parties) {
    party.first_item = schedule.n_items;
    schedule.n_items += party.n_blocks * schedule.n_splits;
  }
  return schedule;
}

}  // namespace saccade::detail
