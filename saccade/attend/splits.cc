#include "saccade/attend/splits.h"

#include <algorithm>

#include "saccade/kernel/visit.h"

namespace saccade::detail {

VisitList share_of(const VisitList& list, Pos split, Pos n_splits) {
  Pos total = 0;
  for (const Visit& visit : list) total += visit.keys.size();
  constexpr Pos kBlock = kernel::kBlockKeys;
  const Pos n_blocks = (total + kBlock - 1) / kBlock;
  const Pos first = n_blocks * split / n_splits * kBlock;  // counted in keys from the start of the list
  const Pos last = n_blocks * (split + 1) / n_splits * kBlock;
  Pos at = 0;
  VisitList out;
  for (Visit visit : list) {
    if (at >= last) break;
    const Pos begin = visit.keys.begin;
    const Pos size = visit.keys.size();
    visit.keys = {begin + std::clamp<Pos>(first - at, 0, size), begin + std::clamp<Pos>(last - at, 0, size)};
    at += size;
    if (!visit.keys.empty()) out.push_back(visit);
  }
  return out;
}

Partials::Partials(Layout& layout, const AttendCall& call, Pos n_splits, const RowWants* wants)
    : q_len_(call.q.len),
      n_heads_(call.q.n_heads),
      v_dim_(call.v.dim),
      n_splits_(n_splits),
      o_(layout.take<float>(n_splits * q_len_ * n_heads_ * v_dim_)),
      lse_(layout.take<float>(n_splits * q_len_ * n_heads_)),
      record_width_(wants ? RecordShape(*wants).width() : 0),
      records_(layout.take<float>(n_splits * q_len_ * n_heads_ * record_width_)) {}

void Partials::merge_all(const AttendCall& call, Team& team, std::span<RowTeller> tellers) const {
  // A decode step's few numbers are merged sooner than a team wakes up.
  constexpr Pos kWorthATeam = 1 << 17;
  Alone alone;
  const bool alone_is_faster = n_splits_ * q_len_ * n_heads_ * v_dim_ < kWorthATeam;
  parallel_for(alone_is_faster ? alone : team, q_len_ * n_heads_, [&](Pos item, int worker) {
    const Pos query = item / n_heads_;
    const int head = static_cast<int>(item % n_heads_);
    const auto dim = static_cast<std::size_t>(v_dim_);
    Partial all{{o(0, query, head), dim}, lse(0, query, head)};
    for (Pos split = 1; split < n_splits_; ++split) {
      merge(all, {{o(split, query, head), dim}, lse(split, query, head)});
    }
    add_sink(call, head, all);
    std::copy(all.o.begin(), all.o.end(), call.o.row(query, head));
    if (call.lse) call.lse[item] = all.lse;
    if (tellers.empty()) return;
    RowTeller& teller = tellers[static_cast<std::size_t>(worker)];
    float* noted = record(0, query, head);
    for (Pos split = 1; split < n_splits_; ++split) merge_records(teller.shape(), noted, record(split, query, head));
    teller.tell(noted, query, head, all.lse, all.o);
  });
}

}  // namespace saccade::detail
