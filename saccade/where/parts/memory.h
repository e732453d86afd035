#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "saccade/where/parts/selection.h"
#include "saccade/where/parts/trial.h"

namespace saccade {

/// The mean of each block of keys, the last and maybe partial one too: f32 [n_kv_heads][n_blocks, dim].
struct KeyMeans {
  Pos block = 0, dim = 0, n_blocks = 0;
  std::vector<std::vector<float>> of_head;

  std::span<const float> mean(Pos kv_head, Pos t) const {
    const auto n = static_cast<std::size_t>(dim);
    return std::span(of_head[static_cast<std::size_t>(kv_head)]).subspan(static_cast<std::size_t>(t) * n, n);
  }
};

/// The smallest and largest key of each block, channel by channel, as f16 rounded outwards, in the panels that
/// kernel/bounds.h reads: no key of a block lies outside. A channel with a NaN or an infinity has NaN bounds.
struct KeyBounds {
  Pos block = 0, dim = 0, n_blocks = 0;
  std::vector<std::vector<std::uint16_t>> of_head;  ///< [n_kv_heads][ceil(n_blocks / 16)][2 dim][16]
};

/// What one layer remembers of its keys between the calls of one sequence, so that a step looks only at what is new.
///
/// Each answer covers the keys [0, call.q_end()) and is what a recomputation from all keys would give, to the bit. Keys
/// from call.q_begin on are taken for new; of those before, a few rows are compared with what they were (both ends, and
/// places whose distances double), and everything is dropped when one of them changed: another prompt in this slot, a
/// restored session, shifted positions. A change that spares all of these rows goes unnoticed; in a model that takes
/// more than one layer to read, any token changes all later keys, the newest row among them.
///
/// Requires  one object a layer and cache; one call at a time; begin_call at each call that writes keys, also one that
///           asks for nothing (saccade::choose does so), or a rewind in it would not be noticed
/// Errors    std::bad_alloc, after which it is empty and of use
/// Cost      memory: bounds of blocks of 16 take 1/8 of the bytes of f16 keys, means 2/block of them. Time: reads the
///           rows of new keys and of the block they continue, and at most about 40 old ones; threads by call.team
class KeyMemory {
 public:
  /// Drops what the call rewrites, and everything when it finds another text. Allocates nothing.
  void begin_call(const SelectCall& call);

  /// Means of blocks of this many keys. The reference is good until the next request.
  const KeyMeans& means(const SelectCall& call, Pos block);

  /// Bounds of blocks of this many keys. The reference is good until the next request.
  const KeyBounds& bounds(const SelectCall& call, Pos block);

  /// What `within` tried in earlier calls of the text; one for each that asks.
  TrialMemory& trials(const void* whose) { return trials_[whose]; }

  /// Drops everything, as if new.
  void forget();

  /// Bytes held.
  std::size_t bytes() const;

 private:
  /// How far a pool has come, and what the keys looked like.
  struct Progress {
    void begin_call(const SelectCall& call);
    void see(const View& k, Range keys);  ///< after they were pooled

    Pos len = 0;                                           ///< keys pooled
    std::vector<std::pair<Pos, std::uint64_t>> sightings;  ///< position, hash of its rows; ascending
  };
  template <class Pool>
  struct Growing {
    Pool pool;
    Progress progress;
  };
  template <class Pool>
  Pool& grown(std::vector<std::unique_ptr<Growing<Pool>>>& pools, const SelectCall& call, Pos block);

  std::vector<std::unique_ptr<Growing<KeyMeans>>> means_;  ///< one for each block size asked for
  std::vector<std::unique_ptr<Growing<KeyBounds>>> bounds_;
  std::map<const void*, TrialMemory> trials_;
  DType dtype_ = DType::f32;
  Pos n_heads_ = 0, dim_ = 0;
};

}  // namespace saccade
