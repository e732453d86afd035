#include "apps/saccade/head_judge.h"

#include <algorithm>

namespace saccade::app {
namespace {

constexpr Pos kRows = 64, kBatches = 8, kEveryToken = 8;

}  // namespace

HeadJudge::HeadJudge(Pos n_prompt, Pos n_ubatch) : n_prompt_(n_prompt), n_ubatch_(n_ubatch) { llama::set_judge(this); }

HeadJudge::~HeadJudge() { llama::set_judge(nullptr); }

Pos HeadJudge::rows_of(Range q_positions) const {
  if (q_positions.begin >= n_prompt_)
    return (q_positions.begin - n_prompt_) % kEveryToken == 0 ? q_positions.size() : 0;
  const Pos n_batches = (n_prompt_ + n_ubatch_ - 1) / n_ubatch_, looks = std::min(n_batches, kBatches);
  const Pos batch = q_positions.begin / n_ubatch_;
  const bool looks_here = (batch + 1) * looks / n_batches > batch * looks / n_batches;
  return looks_here ? kRows / looks : 0;
}

void HeadJudge::look(const llama::JudgedCall& judged) {
  const AttendCall& call = judged.call;
  const auto rows = judge::sample_rows(call.q.len, rows_of({call.q_begin, call.q_begin + call.q.len}));
  if (rows.empty()) return;
  const auto masses = judge::judge_call(call, rows, judged.team);
  Heads& heads = call.q_begin >= n_prompt_ ? decode_ : prompt_;
  for (std::size_t i = 0; i < masses.size(); ++i) heads[{judged.layer, judged.heads[i]}] += masses[i];
}

std::vector<HeadFidelity> HeadJudge::of(const Heads& heads) {
  std::vector<HeadFidelity> all;
  for (const auto& [where, mass] : heads)
    all.push_back({.layer = where.first,
                   .head = where.second,
                   .density = mass.density(),
                   .mass = mass.mass(),
                   .output_error = mass.output_error()});
  return all;
}

}  // namespace saccade::app
