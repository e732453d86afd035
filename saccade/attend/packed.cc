#include "saccade/attend/packed.h"

#include <new>

#include "saccade/attend/tiles.h"

namespace saccade::detail {
namespace {

constexpr Pos kKeys = kernel::kBlockKeys;

}  // namespace

FixedRoom::FixedRoom(Layout& layout, Pos k_dim, Pos values_dim, Pos n_blocks)
    : k(layout.take<std::int16_t>(n_blocks * kKeys * k_dim)),
      k_scale(layout.take<float>(n_blocks * kKeys)),
      v(layout.take<std::int32_t>(n_blocks * kKeys / 2 * values_dim)),
      v_scale(layout.take<float>(n_blocks * values_dim)),
      head_dim(k_dim),
      v_dim(values_dim) {}

FixedRoom FixedRoom::at(Pos block) const {
  FixedRoom room = *this;
  room.k += block * kKeys * head_dim;
  room.k_scale += block * kKeys;
  room.v += block * kKeys / 2 * v_dim;
  room.v_scale += block * v_dim;
  return room;
}

bool Packed::worth_it(const AttendCall& call, Pos n_query_blocks) {
  const Pos bytes = call.k.len * call.k.n_heads * (call.k.dim + call.v.dim) * 2;
  return n_query_blocks > 1 && runs_fixed(call) && bytes <= kMostBytes;
}

Packed::Packed(Layout& layout, const AttendCall& call)
    : n_blocks_(call.k.len / kKeys),
      n_kv_heads_(call.k.n_heads),
      states_(layout.take<std::atomic<std::uint8_t>>(n_kv_heads_ * n_blocks_)),
      rooms_(layout, call.k.dim, call.v.dim, n_kv_heads_ * n_blocks_) {}

void Packed::clear() {
  for (Pos i = 0; i < n_kv_heads_ * n_blocks_; ++i) new (states_ + i) std::atomic<std::uint8_t>(kEmpty);
}

}  // namespace saccade::detail
