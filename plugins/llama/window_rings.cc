#include "plugins/llama/window_rings.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "saccade/kernel/visit.h"

namespace saccade::llama {
namespace {

static_assert(OrderedRows::kAligned % kernel::kBlockKeys == 0);

/// The slots that a row shows: `len` of them, in turn around the ring, up to `last`.
struct Arc {
  Pos last = 0, len = 0;
};

/// Nothing when the row has other values than 0 and -inf, or shows no slot, all slots or several arcs.
std::optional<Arc> arc_of(const std::uint16_t* row, Pos n_slots, Pos most_visible) {
  constexpr std::uint16_t kHidden = 0xFC00, kSign = 0x8000;
  Pos len = 0, n_ends = 0, last = -1;
  bool before = false;
  for (Pos slot = 0; slot < n_slots; ++slot) {
    const bool unread = len == most_visible;  // the mask may hold anything behind the last visible key
    if (!unread && row[slot] != kHidden && (row[slot] & ~kSign) != 0) return std::nullopt;
    const bool visible = !unread && row[slot] != kHidden;
    if (before && !visible) ++n_ends, last = slot - 1;
    len += visible ? 1 : 0;
    before = visible;
  }
  const bool first_visible = row[0] != kHidden;
  if (before && !first_visible) ++n_ends, last = n_slots - 1;
  if (n_ends != 1) return std::nullopt;
  return Arc{last, len};
}

}  // namespace

std::optional<RingRun> WindowRings::read(const void* cache, const BiasView& mask, Pos q_len, Pos kv_len,
                                         Pos most_visible) const {
  if (mask.data == nullptr || mask.dtype != DType::f16 || q_len < 1) return std::nullopt;
  const auto arc = [&](Pos query) {
    return arc_of(reinterpret_cast<const std::uint16_t*>(mask.row(query)), kv_len, most_visible);
  };
  const auto first = arc(0), second = q_len > 1 ? arc(1) : std::nullopt, last = arc(q_len - 1);
  if (!first || !last || (q_len > 1 && !second)) return std::nullopt;

  RingRun run{.q_len = q_len, .width = last->len, .n_slots = kv_len, .first_slot = first->last};
  const auto known = known_.find(cache);
  if (second && second->len == first->len + 1) {
    run.q_begin = first->len - 1;
  } else if (known != known_.end() && first->last == (known->second.last_slot + 1) % kv_len) {
    run.q_begin = known->second.end;
  } else {
    return std::nullopt;
  }
  for (Pos query = 0; query < q_len; ++query) {
    const auto row = arc(query);
    const Pos position = run.q_begin + query;
    if (!row || row->last != run.slot(position) || row->len != std::min(position + 1, run.width)) return std::nullopt;
  }
  return run;
}

std::optional<RingRun> WindowRings::find(const void* cache, const BiasView& mask, Pos q_len, Pos kv_len,
                                         Pos most_visible) {
  const auto run = read(cache, mask, q_len, kv_len, most_visible);
  if (run) {
    known_[cache] = {run->q_begin + q_len, run->slot(run->q_begin + q_len - 1)};
  } else {
    lose(cache);
  }
  return run;
}

View OrderedRows::order(const View& ring, const RingRun& run) {
  const Range keys = run.keys();
  const Pos base = keys.begin / kAligned * kAligned;
  const auto head_bytes = static_cast<std::ptrdiff_t>(row_bytes(ring.dtype, ring.dim));
  const std::ptrdiff_t stride = head_bytes * ring.n_heads;
  rows_.reserve(static_cast<std::size_t>((keys.end - base) * stride));
  std::memset(rows_.data(), 0, static_cast<std::size_t>((keys.begin - base) * stride));
  for (Pos position = keys.begin; position < keys.end; ++position) {
    for (Pos head = 0; head < ring.n_heads; ++head) {
      std::memcpy(rows_.data() + (position - base) * stride + head * head_bytes, ring.row(run.slot(position), head),
                  static_cast<std::size_t>(head_bytes));
    }
  }
  View ordered = ring;
  ordered.data = rows_.data() - base * stride;  // row `base` is the first there is
  ordered.len = keys.end;
  ordered.len_stride = stride;
  ordered.head_stride = head_bytes;
  return ordered;
}

}  // namespace saccade::llama
