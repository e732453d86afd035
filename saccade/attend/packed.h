#pragma once

#include <atomic>
#include <cstdint>

#include "saccade/attend/attend.h"
#include "saccade/attend/workspace.h"
#include "saccade/kernel/fixed.h"

namespace saccade::detail {

/// Room for one block of keys in 16-bit fixed point.
struct FixedRoom {
  std::int16_t* k = nullptr;
  float* k_scale = nullptr;
  std::int32_t* v = nullptr;
  float* v_scale = nullptr;

  Pos head_dim = 0, v_dim = 0;

  FixedRoom() = default;
  FixedRoom(Layout& layout, Pos k_dim, Pos values_dim, Pos n_blocks = 1);
  FixedRoom at(Pos block) const;
  kernel::FixedBlock block(int n_keys) const {
    return {.k = k,
            .k_scale = k_scale,
            .v = v,
            .v_scale = v_scale,
            .n_keys = n_keys,
            .head_dim = static_cast<int>(head_dim),
            .v_dim = static_cast<int>(v_dim)};
  }
};

/// Blocks of keys in fixed point that the blocks of queries of one call share: whoever comes first converts. Converting
/// anew for every block of queries would take a tenth of a prompt's attention.
class Packed {
 public:
  /// More than this is not kept; every block of queries then converts for itself.
  static constexpr Pos kMostBytes = Pos{64} << 20;

  static bool worth_it(const AttendCall& call, Pos n_query_blocks);
  Packed(Layout& layout, const AttendCall& call);
  /// Nothing is converted yet. Before the workers start.
  void clear();

  /// The whole block of this KV head, `fill(room)` having converted it; null where somebody is at it just now (convert
  /// for yourself) or `fill` said false.
  template <class Fill>
  const FixedRoom* get(Pos kv_head, Pos block, FixedRoom& out, const Fill& fill) {
    const Pos index = kv_head * n_blocks_ + block;
    std::atomic<std::uint8_t>& state = states_[index];
    std::uint8_t seen = kEmpty;
    out = rooms_.at(index);
    if (state.compare_exchange_strong(seen, kBusy, std::memory_order_acquire)) {
      seen = fill(out) ? kReady : kRefused;
      state.store(seen, std::memory_order_release);
    }
    return seen == kReady ? &out : nullptr;
  }

 private:
  enum : std::uint8_t { kEmpty, kBusy, kReady, kRefused };
  Pos n_blocks_, n_kv_heads_;
  std::atomic<std::uint8_t>* states_;  // [n_kv_heads, n_blocks]
  FixedRoom rooms_;                    // as many
};

}  // namespace saccade::detail
