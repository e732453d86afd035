#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "saccade/attend/attend.h"
#include "saccade/attend/centre.h"
#include "saccade/attend/edge.h"
#include "saccade/attend/packed.h"
#include "saccade/attend/workspace.h"
#include "saccade/see/probe.h"

namespace saccade::detail {

/// Does the second look at this call run in bf16? Where the tiles of attention do, so that both have the same scores;
/// few rows attend in f32 whatever the call says.
bool looks_in_bf16(const AttendCall& call, const Schedule& schedule);

/// Rows of a query head's queries as they take part in dot products: negated where the scale is negative, 0 in a head
/// whose weights are uniform. out [q_rows.size(), head_dim]
void read_queries(const AttendCall& call, int head, Range q_rows, float* out);

/// A row's lse in units of log2, as the kernels of the second look want it.
double log2_of(float lse);

/// The queries of a patch in every head, rounded to tiles once for all keys, in blocks of up to
/// WeightTile::kMostQueries that each begin a tile.
class RoundedQueries {
 public:
  RoundedQueries(Layout& layout, const AttendCall& call, const Centres* centres, Pos n_blocks);

  /// Reads block number `block` of a head; `room`: [kMostQueries, head_dim]. Heads may be read at the same time.
  void read(const AttendCall& call, const float* lse, int head, int kv_head, Pos block, Range q_rows, float* room);

  /// Null where the block holds NaN or inf.
  const std::uint32_t* tiles(int head, Pos block) const;
  /// [kMostQueries], in units of log2, less what the centre takes off a row's scores.
  const double* lse(int head, Pos block) const { return lse_ + place(head, block) * WeightTile::kMostQueries; }
  /// What is taken off the keys of a KV head [head_dim]; null: nothing.
  const float* centre(int kv_head) const { return centres_ ? centres_->of(kv_head) : nullptr; }

 private:
  Pos place(int head, Pos block) const { return head * n_blocks_ + block; }

  const Centres* centres_;
  Pos n_blocks_, words_;  // of a block
  std::uint32_t* tiles_;  // [heads, blocks, words]
  double* lse_;           // [heads, blocks, kMostQueries]
  std::uint8_t* finite_;  // [heads, blocks]
};

/// A block of keys, less their centre, rounded to tiles as find_weights_bf16 wants them.
class RoundedKeys {
 public:
  RoundedKeys(Layout& layout, const AttendCall& call);

  /// `room`: [kBlockKeys, head_dim]
  void read(const AttendCall& call, int kv_head, Range keys, const float* centre, float* room);
  const std::uint32_t* tiles() const { return tiles_; }
  /// Does one of the queries see a key with NaN or inf? `visible`: [n_queries, Edge::kWords]; null: all of them.
  bool any_wild(const std::uint32_t* visible, Pos n_queries) const;

 private:
  std::uint32_t* tiles_;
  bool has_wild_ = false;
  WildKeys wild_{};
};

/// The blocks of keys of a patch that query heads of one KV head share: whoever comes first rounds, and what nobody
/// visits is never rounded. Each head for itself would spend an eighth of its time on that.
class SharedKeys {
 public:
  SharedKeys(Layout& layout, const AttendCall& call);

  /// A patch of `n_blocks` begins.
  void clear(Pos n_blocks);
  /// Block number `block` of the patch, `read(keys)` having read it: the shared one, or `own` where it is not kept or
  /// somebody is at it just now.
  template <class Read>
  const RoundedKeys& get(int kv_head, Pos block, RoundedKeys& own, const Read& read) {
    const auto index = static_cast<std::size_t>(kv_head * n_blocks_ + block);
    if (index < kept_.size()) {
      std::uint8_t seen = kEmpty;
      if (states_[index].compare_exchange_strong(seen, kBusy, std::memory_order_acquire)) {
        read(kept_[index]);
        states_[index].store(seen = kReady, std::memory_order_release);
      }
      if (seen == kReady) return kept_[index];
    }
    read(own);
    return own;
  }

 private:
  /// As many as patches of 512 queries have in 8 KV heads of 128 are 1 MiB; few queries have patches of more keys.
  static constexpr Pos kMostBytes = Pos{8} << 20;
  enum : std::uint8_t { kEmpty, kBusy, kReady };

  Pos n_blocks_ = 0;  // of a patch
  std::vector<RoundedKeys> kept_;
  std::atomic<std::uint8_t>* states_;
};

/// Keys in f32, less their centre, if there is one: what attention in bf16 falls back to. out [keys.size(), head_dim]
void read_keys(const AttendCall& call, int kv_head, Range keys, const float* centre, float* out);

}  // namespace saccade::detail
