#pragma once

#include <memory>
#include <vector>

#include "python/src/arguments.h"
#include "saccade/where/parts/block_mask.h"

namespace saccade::python {

/// What mask_mod() makes: for each sequence and query head who sees whom, by index of the query in the call and of the
/// key; one sequence or head: for all of them. The last query stands at the last key.
struct BlockMasks : Patterns {
  std::vector<std::vector<std::shared_ptr<PairBlocks>>> blocks;  ///< [batch][heads], what of_sequence shows

  /// Nobody sees anything yet. Errors: Fault::kUser, one line.
  BlockMasks(Pos queries, Pos keys, Pos block, int batch, int heads);
};

}  // namespace saccade::python
