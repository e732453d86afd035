#pragma once

#include <map>
#include <utility>
#include <vector>

#include "apps/saccade/compare_rows.h"
#include "plugins/llama/judge.h"
#include "saccade/judge/mass.h"

namespace saccade::app {

/// Looks at sampled rows of a run, and tells how well each head of each layer was served: about 64 rows of the prompt,
/// in at most 8 of its batches, the last one among them; and every eighth of the tokens after it.
/// Watches from when it is made until it goes.
class HeadJudge final : public llama::Judge {
 public:
  HeadJudge(Pos n_prompt, Pos n_ubatch);
  HeadJudge(const HeadJudge&) = delete;
  HeadJudge& operator=(const HeadJudge&) = delete;
  ~HeadJudge() override;

  void look(const llama::JudgedCall& judged) override;

  /// In the order of layers and heads; empty when nothing was seen.
  std::vector<HeadFidelity> prompt() const { return of(prompt_); }
  std::vector<HeadFidelity> decode() const { return of(decode_); }

 private:
  using Heads = std::map<std::pair<int, int>, judge::HeadMass>;  // by layer and head
  static std::vector<HeadFidelity> of(const Heads& heads);
  /// How many rows of this call to look at.
  Pos rows_of(Range q_positions) const;

  Pos n_prompt_, n_ubatch_;
  Heads prompt_, decode_;
};

}  // namespace saccade::app
