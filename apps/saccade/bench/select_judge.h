#pragma once

#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "apps/saccade/attention.h"
#include "plugins/llama/judge.h"
#include "saccade/judge/mass.h"
#include "saccade/where/parts/memory.h"

namespace saccade::app {

/// What one spec did with one layer's calls of one kind: a batch of the prompt, or the tokens decoded after it.
struct SelectResult {
  std::string attn;
  bool decodes = false;
  int layer = 0;
  Pos q_begin = 0, q_len = 0, kv_len = 0;                    ///< of the first call
  std::vector<double> select_s, attend_s, total_s, dense_s;  ///< one for each repetition of each call
  AttendCost cost;                                           ///< of one run of each call
  std::int64_t pairs_dense = 0;
  std::int64_t n_heads = 0, n_dense_by_rule = 0, n_dense_by_floor = 0, n_dense_by_cost = 0;  ///< heads of calls
  std::vector<judge::HeadMass> heads;                                                        ///< by head of the layer
};

/// Tries every spec on the calls that a prompt's own attention has just run, on the same queries, keys, values and
/// threads: all take turns with our dense attention, then each is judged on sampled rows.
/// Watches from when it is made until it goes.
class SelectJudge final : public llama::Judge {
 public:
  struct What {
    std::vector<Attention> attentions;  ///< ours
    std::vector<int> layers;            ///< ascending
    std::vector<Pos> ends;              ///< a batch of the prompt is tried where it ends at one of these positions
    Pos n_prompt = 0;                   ///< later calls are decoding, and all tried
    Pos n_rows = 32;
    std::int64_t repetitions = 3;
    Precision precision = Precision::kAuto;
    bool fallbacks = false;
  };
  explicit SelectJudge(What what);
  SelectJudge(const SelectJudge&) = delete;
  SelectJudge& operator=(const SelectJudge&) = delete;
  ~SelectJudge() override;

  /// Errors: as attend and the selectors; `Interrupted`
  void look(const llama::JudgedCall& judged) override;

  /// In the order of steps, specs and layers. A spec that does not select in prompts, or not in decoding, has none
  /// there.
  std::vector<SelectResult> results() const;

 private:
  struct Entrant;
  bool is_wanted(const llama::JudgedCall& judged) const;
  std::vector<Entrant> entrants_for(const llama::JudgedCall& judged);
  void run(const llama::JudgedCall& judged, Entrant& entrant);
  void time(const llama::JudgedCall& judged, std::vector<Entrant>& entrants);
  void judge_all(const llama::JudgedCall& judged, std::vector<Entrant>& entrants);

  What what_;
  Workspace workspace_;
  std::vector<std::vector<float>> outputs_;
  std::map<std::pair<std::size_t, int>, KeyMemory> memories_;                // by spec and layer
  std::map<std::tuple<bool, Pos, std::size_t, int>, SelectResult> results_;  // by step, place, spec and layer
};

}  // namespace saccade::app
