#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "plugins/llama/judge.h"
#include "saccade/plan/plan.h"
#include "saccade/where/parts/memory.h"

namespace saccade::app {

/// What one candidate would cost and do in one head: sums over the calls and rows that were looked at.
struct Trial {
  double pairs = 0;  ///< visited, selection counted as pairs too
  double error = 0;  ///< squared change of the head's result, as a share of the layer's, summed over rows
  double mass = 0;   ///< recovered, summed over rows
  double n_rows = 0;
};

/// Tries candidates on the queries, keys and values of a model that runs densely.
class TuneJudge final : public llama::Judge {
 public:
  TuneJudge(const std::vector<Plan>& candidates, Pos n_prompt, Pos n_ubatch);
  TuneJudge(const TuneJudge&) = delete;
  TuneJudge& operator=(const TuneJudge&) = delete;
  ~TuneJudge() override;

  void look(const llama::JudgedCall& judged) override;

  using Place = std::pair<int, int>;  ///< layer and head
  /// One trial for each candidate.
  const std::map<Place, std::vector<Trial>>& trials() const { return trials_; }

 private:
  const std::vector<Plan>& candidates_;
  Pos n_prompt_, n_ubatch_;
  std::map<int, KeyMemory> memories_;  ///< by layer
  std::map<Place, std::vector<Trial>> trials_;
};

}  // namespace saccade::app
