#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "saccade/base/error.h"
#include "saccade/base/random.h"
#include "saccade/where/parts/lists.h"
#include "saccade/where/parts/selection.h"

namespace saccade::where {

/// Blocks of 128 keys drawn at random for each block of 128 queries and head, the query's own block among them: what a
/// selector has to beat. Source: Saccade.
struct Random {
  double density = 0.25;
  Pos seed = 1;

  static constexpr Pos kBlock = 128;
  static constexpr SelectTraits kTraits{.prefill = true, .decode = true, .needle = false};

  /// The list of block u is drawn from the seed, the layer, the head and u alone, so that no batch changes it.
  void choose(const SelectCall& call, Selection& out) const {
    const Pos first = call.q_begin / kBlock, end = (call.q_end() + kBlock - 1) / kBlock;
    for (const int head : call.heads) {
      Lists lists;
      for (Pos u = first; u < end; ++u) lists.add(draw(call.layer, head, u));
      out.of_head.push_back(std::make_shared<BlockLists>(kBlock, kBlock, first, std::move(lists)));
    }
  }
  void fields(auto& f) {
    f("density", density, "share of the blocks before a query, its own included");
    f("seed", seed, "another one draws other blocks");
  }
  void check() const {
    if (!(density > 0 && density <= 1))
      fail_user("where/random: density must be > 0 and <= 1, got " + std::to_string(density));
  }

 private:
  std::vector<std::int32_t> draw(int layer, int head, Pos u) const {
    saccade::Random random((static_cast<std::uint64_t>(seed) << 48) ^ (static_cast<std::uint64_t>(layer) << 36) ^
                           (static_cast<std::uint64_t>(head) << 24) ^ static_cast<std::uint64_t>(u));
    const auto wanted = std::max<Pos>(1, std::llround(density * static_cast<double>(u + 1)));
    std::vector<std::int32_t> list;
    for (Pos t = 0; t < u; ++t) {  // each as likely as its neighbours, just so many of them
      const Pos left = wanted - 1 - static_cast<Pos>(list.size());
      if (random.between(0, u - t - 1) < left) list.push_back(static_cast<std::int32_t>(t));
    }
    list.push_back(static_cast<std::int32_t>(u));
    return list;
  }
};

}  // namespace saccade::where
