#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "saccade/attend/attend.h"
#include "saccade/attend/workspace.h"
#include "saccade/kernel/bf16.h"
#include "saccade/kernel/fixed.h"

namespace saccade::detail {

/// In which numbers the tiles of this call run, where they can: kF32, kI16 or kBf16. (Precision::kAuto decides here.)
Precision runs_in(const AttendCall& call);

/// Rows of keys or values, one every `stride` bytes.
struct Rows {
  const std::byte* at = nullptr;
  std::ptrdiff_t stride = 0;
};

/// Keys of a block that hold NaN or inf, as bits.
using WildKeys = std::array<std::uint32_t, kernel::kBlockKeys / 32>;

/// Room for blocks of up to `most_keys` keys and values, rounded for i16 or bf16.
class PackedRoom {
 public:
  PackedRoom() = default;
  PackedRoom(Layout& layout, Precision precision, Pos head_dim, Pos v_dim, Pos most_keys, Pos n_blocks = 1);

  /// The room of one of n_blocks.
  PackedRoom at(Pos block) const;
  /// i16: rounds the block into the room; false where a key or value is NaN or inf.
  bool fill(const kernel::KeyBlock& block) const;
  /// bf16: the same from rows as they are stored (kernel::can_round), keys less their centre, if there is one.
  bool fill_keys(DType dtype, Rows k, Pos n_keys, const float* centre) const;
  bool fill_values(DType dtype, Rows v, Pos n_keys) const;
  /// i16: rounds each key for itself, so that not all rows need see all of them; a key with NaN or inf becomes 0 and is
  /// named in the result. Requires a room of its own, for kBlockKeys keys.
  WildKeys fill_apart(const kernel::KeyBlock& block) const;

  kernel::FixedBlock fixed_block(Pos n_keys) const;
  /// After fill_apart.
  kernel::FixedBlock apart_block(Pos n_keys) const;
  kernel::Bf16Block bf16_block(Pos n_keys) const;

 private:
  Pos run_words() const { return v_dim_ * ((most_keys_ / kernel::kRunKeys + 1) / 2); }

  Precision precision_ = Precision::kF32;
  int head_dim_ = 0, v_dim_ = 0;
  Pos most_keys_ = 0;
  Pos k_words_ = 0, v_words_ = 0;              // of one block
  std::uint32_t *k_ = nullptr, *v_ = nullptr;  // words of two numbers, as the kernel wants them
  // i16 only; scales of values are by dimension, or by key
  float *k_scale_ = nullptr, *v_scale_ = nullptr;
  std::int32_t* v_runs_ = nullptr;
};

/// Blocks of rounded keys and values that the items of one call share: whoever comes first converts, and what nobody
/// visits is never converted. Converting anew for every item would take a tenth of a prompt's attention, and more than
/// half of it where each head chooses its own keys.
class Packed {
 public:
  /// More than this is not kept: as much as 131,072 tokens of 8 KV heads of 128 take, which is one layer's worth of the
  /// cache they come from, once for all layers. Of more, the first heads' are kept, and the rest is converted by every
  /// item for itself. Memory is reserved, but taken only where something is written.
  static constexpr Pos kMostBytes = Pos{512} << 20;

  static bool worth_it(const AttendCall& call, Pos n_blocks_of_queries);
  /// In units of `unit` keys: a block of the kernel, or a part of one.
  Packed(Layout& layout, const AttendCall& call, Pos unit, Pos most_bytes = kMostBytes);
  /// Nothing is converted yet. Before the workers start.
  void clear();

  /// The unit of this KV head that begins at key `begin`, `fill(room)` having converted it; null where it is not kept,
  /// somebody is at it just now (convert for yourself) or `fill` said false.
  template <class Fill>
  const PackedRoom* get(Pos kv_head, Pos begin, PackedRoom& out, const Fill& fill) {
    const Pos index = kv_head * n_units_ + begin / unit_;
    if (index >= n_kept_) return nullptr;
    std::atomic<std::uint8_t>& state = states_[index];
    std::uint8_t seen = kEmpty;
    out = rooms_.at(index);
    if (state.compare_exchange_strong(seen, kBusy, std::memory_order_acquire)) {
      seen = fill(out) ? kReady : kRefused;
      state.store(seen, std::memory_order_release);
    }
    return seen == kReady ? &out : nullptr;
  }

  /// The same where it has been converted; null where it has not.
  const PackedRoom* find(Pos kv_head, Pos begin, PackedRoom& out) const {
    const Pos index = kv_head * n_units_ + begin / unit_;
    if (index >= n_kept_ || states_[index].load(std::memory_order_acquire) != kReady) return nullptr;
    out = rooms_.at(index);
    return &out;
  }

 private:
  enum : std::uint8_t { kEmpty, kBusy, kReady, kRefused };
  Pos unit_, n_units_, n_kept_;        // of a KV head; of all of them
  std::atomic<std::uint8_t>* states_;  // [n_kept]
  PackedRoom rooms_;                   // as many
};

/// What the items of a call share.
struct Shared {
  /// Selections come in blocks of 64 as often as in blocks of 128.
  static constexpr Pos kHalf = kernel::kBlockKeys / 2;

  Shared(Layout& layout, const AttendCall& call)
      : whole(layout, call, kernel::kBlockKeys),
        half(layout, call, kHalf),
        apart(layout, call, kernel::kBlockKeys, runs_in(call) == Precision::kI16 ? Packed::kMostBytes : 0) {}
  void clear() { whole.clear(), half.clear(), apart.clear(); }

  Packed whole, half;
  Packed apart;  ///< i16: keys on the edge of what some rows see, each rounded for itself
};

}  // namespace saccade::detail
