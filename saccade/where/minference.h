#pragma once

#include <string>

#include "saccade/where/parts/selection.h"

namespace saccade::where {

/// For prompts: one of three patterns a head. `vertical_slash`: the columns and the diagonals that the last 64 queries
/// of a batch weigh most. `a_shape`: the first keys and the newest. `block_sparse`: for each block of 64 queries the
/// blocks of 64 keys with the largest product of means, its own among them. Decode steps run dense.
///
/// Source: MInference, arXiv:2407.02490; which pattern a head gets is found offline (`saccade tune --attn minference`)
/// and written into a plan. Deviations: the last rows of a batch speak for its rows; the query's own block is always
/// kept.
struct Minference {
  std::string pattern = "vertical_slash";
  Pos vertical_size = 1000;
  Pos slash_size = 6096;
  Pos n_sink = 100;
  Pos window = 800;
  Pos n_blocks = 100;

  static constexpr Pos kBlock = 64, kLeastColumns = 30, kLeastDiagonals = 50, kNearest = 100;
  static constexpr SelectTraits kTraits{.prefill = true, .decode = false, .depends_on_batch = true};

  /// Cost  vertical_slash: 2 x 64 kv_len head_dim FLOP a head; block_sparse: (q_len / 64) (kv_len / 64) products of
  /// means
  void choose(const SelectCall& call, Selection& out) const;
  void fields(auto& f) {
    f("pattern", pattern, "vertical_slash, a_shape or block_sparse");
    f("vertical_size", vertical_size, "columns kept, at least 30 (vertical_slash)");
    f("slash_size", slash_size, "diagonals kept, at least 50 (vertical_slash)");
    f("n_sink", n_sink, "first keys kept (a_shape)");
    f("window", window, "newest keys kept (a_shape)");
    f("n_blocks", n_blocks, "blocks of 64 keys kept for each block of 64 queries (block_sparse)");
  }
  void check() const;
};

}  // namespace saccade::where
