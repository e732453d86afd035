#pragma once

#include <algorithm>
#include <vector>

#include "saccade/attend/attend.h"

namespace saccade::detail {

/// Query heads that read the same KV head through the same pattern: they visit the same keys together.
struct HeadSet {
  int kv_head = 0;
  const Where* where = nullptr;
  std::vector<int> heads;
};

/// Sets of heads whose queries are cut into the same blocks: one set, or, when rows are few, all of them, to be walked
/// in step.
struct Party {
  Pos first_set = 0, n_sets = 1;
  Pos block_q = 0;     ///< queries of a block, but for the first and last
  Pos begin = 0;       ///< of the first block: 0, or before the call's first query
  Pos n_blocks = 0;    ///< of queries
  Pos first_item = 0;  ///< the party's items follow one another, splits of a block side by side

  /// Queries of the call.
  Range block(Pos i, Pos q_len) const {
    return {std::max<Pos>(0, begin + i * block_q), std::min(q_len, begin + (i + 1) * block_q)};
  }
};

/// How a call is cut into items that workers take one by one. Depends only on shapes, the patterns' q_step and the
/// team's size, so that the same call on the same team gives the same bits.
struct Schedule {
  std::vector<HeadSet> sets;
  std::vector<Party> parties;
  Pos n_splits = 1;      ///< parts of an item's visited keys
  Pos n_items = 0;       ///< of all parties
  Pos most_queries = 0;  ///< of an item
  Pos most_rows = 0;     ///< queries times heads of one set of an item
  Pos n_blocks() const;  ///< of queries, counted for each set
  const Party& party_of(Pos item) const;
  /// A number below n_blocks() for each set and block of its. Requires splits: then there are few of them.
  Pos list_of(Pos set, Pos block) const;
};

Schedule make_schedule(const AttendCall& call, int n_workers);

}  // namespace saccade::detail
