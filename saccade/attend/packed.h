#pragma once

#include <atomic>
#include <cstdint>

#include "saccade/attend/attend.h"
#include "saccade/attend/workspace.h"
#include "saccade/kernel/bf16.h"
#include "saccade/kernel/fixed.h"

namespace saccade::detail {

/// In which numbers the tiles of this call run, where they can: kF32, kI16 or kBf16. (Precision::kAuto decides here.)
Precision runs_in(const AttendCall& call);

/// Room for one block of keys and values, rounded for i16 or bf16.
class PackedRoom {
 public:
  PackedRoom() = default;
  PackedRoom(Layout& layout, Precision precision, Pos head_dim, Pos v_dim, Pos n_blocks = 1);

  /// The room of one of n_blocks.
  PackedRoom at(Pos block) const;
  /// Rounds the block into the room; false where a key or value is NaN or inf.
  bool fill(const kernel::KeyBlock& block) const;

  kernel::FixedBlock fixed_block(Pos n_keys) const;
  kernel::Bf16Block bf16_block(Pos n_keys) const;

 private:
  Precision precision_ = Precision::kF32;
  int head_dim_ = 0, v_dim_ = 0;
  Pos k_words_ = 0, v_words_ = 0;                  // of one block
  std::uint32_t *k_ = nullptr, *v_ = nullptr;      // words of two numbers, as the kernel wants them
  float *k_scale_ = nullptr, *v_scale_ = nullptr;  // i16 only
};

/// Blocks of rounded keys and values that the blocks of queries of one call share: whoever comes first converts.
/// Converting anew for every block of queries would take a tenth of a prompt's attention.
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
  const PackedRoom* get(Pos kv_head, Pos block, PackedRoom& out, const Fill& fill) {
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
  PackedRoom rooms_;                   // as many
};

}  // namespace saccade::detail
