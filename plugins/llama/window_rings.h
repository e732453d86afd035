#pragma once

#include <optional>
#include <unordered_map>

#include "saccade/attend/given_mask.h"
#include "saccade/base/buffer.h"
#include "saccade/base/view.h"

namespace saccade::llama {

/// A call of a sliding-window layer whose cache is a ring. Query i has position q_begin + i and sees the keys of the
/// `width` newest positions, or of all there are, its own among them.
struct RingRun {
  Pos q_begin = 0, q_len = 0, width = 0;
  Pos n_slots = 0, first_slot = 0;  ///< of the ring; where position q_begin lies

  Pos slot(Pos position) const { return ((first_slot + position - q_begin) % n_slots + n_slots) % n_slots; }
  /// What the queries see.
  Range keys() const { return {q_begin + 1 > width ? q_begin + 1 - width : 0, q_begin + q_len}; }
};

/// Tells the positions of sliding-window caches from their masks. llama.cpp fills the slots of such a cache in turn,
/// and from the first on again when they are all used, so that a text's mask is a band that walks around. As long as a
/// row shows one key more than the row before, the first position is in view and all of them are known; from then on it
/// is remembered where the next position belongs. What does not continue that (a session restored in the middle,
/// several sequences) is not told until a text begins again.
class WindowRings {
 public:
  /// A call on this cache whose mask was one causal run that ended before this position.
  void saw_causal(const void* cache, Pos end) { known_[cache] = {end, end - 1}; }
  /// Nothing is known of this cache any more.
  void lose(const void* cache) { known_.erase(cache); }
  /// A call on this cache with another mask, of f16. Nothing when it is no ring in turn.
  /// Cost      reads the mask once
  std::optional<RingRun> find(const void* cache, const BiasView& mask, Pos q_len, Pos kv_len,
                              Pos most_visible = GivenMask::kNoBound);

 private:
  struct Known {
    Pos end, last_slot;  ///< the position behind the last one, and where that lies
  };
  std::optional<RingRun> read(const void* cache, const BiasView& mask, Pos q_len, Pos kv_len, Pos most_visible) const;
  std::unordered_map<const void*, Known> known_;
};

/// Keys or values of a ring, copied into the order of their positions.
class OrderedRows {
 public:
  /// Position p is in row p of the view for those that the run sees; rows before them must not be read, but for those
  /// up to a multiple of kAligned, which are zero. Good until the next call. Errors: std::bad_alloc.
  View order(const View& ring, const RingRun& run);
  static constexpr Pos kAligned = 128;  ///< look() reads whole blocks of so many keys

 private:
  Buffer rows_;
};

}  // namespace saccade::llama
