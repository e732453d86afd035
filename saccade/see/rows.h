#pragma once

#include <map>
#include <span>
#include <vector>

#include "saccade/see/probe.h"

namespace saccade::see {

/// Full rows of the map, for listed queries: what the answer's first token looked at.
///
/// Requires  `queries` (absolute positions) set before the call that brings them
/// Accuracy  the weights themselves
/// Cost      4 bytes a key, head and listed query; hidden keys are 0
/// Source    steer-and-see, PR9; CARVE and LSceneLLM read such rows
class Rows final : public Probe {
 public:
  std::vector<Pos> queries;

  void fields(auto&) {}
  void begin(const LookShape& shape) override;
  void observe(const WeightTile& tile) override;

  /// [kv_len of the call that brought the query]; empty when none did.
  std::span<const float> row(int head, Pos q_position) const;
  /// Makes the memory of a row free.
  void forget(Pos q_position) { rows_.erase(q_position); }

 private:
  struct Row {
    Pos kv_len = 0;
    std::vector<float> weights;  // [n_heads, kv_len]
  };
  std::map<Pos, Row> rows_;
};

}  // namespace saccade::see
