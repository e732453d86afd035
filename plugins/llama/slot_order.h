#pragma once

#include <unordered_map>

#include "saccade/base/view.h"

namespace saccade::llama {

/// Do the slots of a cache hold their sequence in order? A plan speaks of positions, the op shows only slots and a
/// mask. A mask of one query that shows the first n slots does not say in which order they were filled (cells freed in
/// the middle are filled again), and neither does one of a model that looks at another text. So it is remembered, for
/// each cache, how far its slots are known to be in order.
class SlotOrder {
 public:
  /// A call on this cache whose mask was one causal run: queries [p0, p0 + q_len). May its slots be taken as positions?
  bool holds(const void* cache, Pos p0, Pos q_len) {
    const auto known = ends_.find(cache);
    // A cache never seen before was filled by somebody else (a restored session). Several queries that each see one
    // slot more show that this one is filled in order; a single query shows nothing.
    const bool unknown_but_causal = q_len > 1 && (known == ends_.end() || known->second > 0);
    const bool in_order = p0 == 0 || unknown_but_causal || (known != ends_.end() && p0 <= known->second);
    if (in_order) ends_[cache] = p0 + q_len;
    return in_order;
  }

  /// A call on this cache whose mask was none: nothing is known before a sequence starts again at slot 0.
  void lose(const void* cache) { ends_[cache] = 0; }

 private:
  std::unordered_map<const void*, Pos> ends_;  // slots [0, end) are in order; 0: disorder was seen
};

}  // namespace saccade::llama
