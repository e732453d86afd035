#pragma once

#include <cstddef>
#include <map>
#include <vector>

#include "saccade/where/parts/selection.h"

namespace saccade {

/// For each KV head, by its number: the places in call.heads of the query heads that read it, ascending.
inline std::map<int, std::vector<std::size_t>> places_by_kv_head(const SelectCall& call) {
  std::map<int, std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < call.heads.size(); ++i) {
    groups[call.kv_head[static_cast<std::size_t>(call.heads[i])]].push_back(i);
  }
  return groups;
}

}  // namespace saccade
