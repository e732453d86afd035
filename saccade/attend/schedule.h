#pragma once

#include <vector>

#include "saccade/attend/attend.h"

namespace saccade::detail {

/// Query heads that read the same KV head through the same pattern: they visit the same keys together.
struct HeadSet {
  int kv_head = 0;
  const Where* where = nullptr;
  std::vector<int> heads;
};

/// How a call is cut into items that workers take one by one. Depends only on shapes and the team's size, so that the
/// same call on the same team gives the same bits.
struct Schedule {
  std::vector<HeadSet> sets;
  Pos block_q = 0;   ///< queries of an item
  Pos n_blocks = 0;  ///< blocks of queries
  Pos n_splits = 1;  ///< parts of an item's visited keys
  Pos widest = 0;    ///< heads of the widest set
  Pos together = 1;  ///< sets an item walks in step; 1 or all
  Pos most_rows() const { return block_q * widest; }
  Pos n_parties() const { return static_cast<Pos>(sets.size()) / together; }
  Pos n_items() const { return n_parties() * n_blocks * n_splits; }
};

Schedule make_schedule(const AttendCall& call, int n_workers);

}  // namespace saccade::detail
