#include "apps/saccade/tune_judge.h"

#include <numeric>
#include <span>

#include "apps/saccade/interrupt.h"
#include "saccade/attend/select_call.h"
#include "saccade/judge/trial.h"
#include "saccade/where/choice.h"
#include "saccade/where/parts/parallel.h"
#include "saccade/where/parts/tax.h"

namespace saccade::app {
namespace {

/// Rows of a batch that are looked at, and of how many batches. Each head of each layer has that many.
constexpr Pos kRows = 64, kBatches = 4;

/// A candidate's answer for all heads of a call.
struct Answer {
  std::vector<WherePtr> of_head;
  double tax = 1, selecting = 0;  ///< pairs that a pair costs; pairs that choosing costs in each head
};

Answer ask(const Choice& choice, const llama::JudgedCall& judged, KeyMemory& memory) {
  const AttendCall& call = judged.call;
  const auto n_heads = judged.heads.size();
  if (const WherePtr pattern = choice.pattern()) return {.of_head = std::vector(n_heads, pattern)};
  std::vector<int> heads(n_heads);
  std::iota(heads.begin(), heads.end(), 0);
  SelectCall select = select_call_of(call, heads, judged.layer, judged.team);
  select.fallbacks = false;
  select.memory = &memory;
  Selection chosen = choose(choice, select);
  const auto flop_of_pair = static_cast<double>(2 * (call.q.dim + call.v.dim));
  return {.of_head = std::move(chosen.of_head),
          .tax = kTaxOfLists,
          .selecting = static_cast<double>(chosen.cost.flop) / flop_of_pair / static_cast<double>(n_heads)};
}

double squares(std::span<const double> numbers) {
  return std::inner_product(numbers.begin(), numbers.end(), numbers.begin(), 0.0);
}

std::span<const double> row_of(const std::vector<double>& rows, Pos i, Pos dim) {
  return std::span(rows).subspan(static_cast<std::size_t>(i * dim), static_cast<std::size_t>(dim));
}

}  // namespace

TuneJudge::TuneJudge(const std::vector<Plan>& candidates, Pos n_prompt, Pos n_ubatch)
    : candidates_(candidates), n_prompt_(n_prompt), n_ubatch_(n_ubatch) {
  llama::set_judge(this);
}

TuneJudge::~TuneJudge() { llama::set_judge(nullptr); }

void TuneJudge::look(const llama::JudgedCall& judged) {
  const AttendCall& call = judged.call;
  const Pos n_batches = (n_prompt_ + n_ubatch_ - 1) / n_ubatch_, looks = std::min(n_batches, kBatches);
  const Pos batch = call.q_begin / n_ubatch_;
  if (call.q_begin >= n_prompt_ || (batch + 1) * looks / n_batches == batch * looks / n_batches) return;
  stop_if_interrupted();
  const auto sampled = judge::sample_rows(call.q.len, kRows / looks);
  const auto n_rows = static_cast<Pos>(sampled.size());
  std::vector<judge::TrialRows> heads;
  std::vector<double> of_layer(sampled.size());
  for (std::size_t h = 0; h < judged.heads.size(); ++h) {
    const auto& dense = heads.emplace_back(call, static_cast<int>(h), sampled, judged.team).dense();
    for (Pos i = 0; i < n_rows; ++i) of_layer[static_cast<std::size_t>(i)] += squares(row_of(dense.o, i, call.v.dim));
  }
  const Range q_positions{call.q_begin, call.q_begin + call.q.len};
  std::vector<Trial*> trials;
  for (const int head : judged.heads) {
    auto& of_head = trials_[{judged.layer, head}];
    of_head.resize(candidates_.size());
    trials.push_back(of_head.data());
  }
  for (std::size_t c = 0; c < candidates_.size(); ++c) {
    const Answer answer = ask(candidates_[c].choice(judged.layer, judged.heads[0]), judged, memories_[judged.layer]);
    parallel_for_or_throw(judged.team, static_cast<Pos>(heads.size()), [&](Pos head) {
      const auto h = static_cast<std::size_t>(head);
      const judge::TrialOutcome outcome = heads[h].with(*answer.of_head[h]);
      Trial& trial = trials[h][c];
      const auto pairs = static_cast<double>(estimated_pairs(*answer.of_head[h], q_positions, call.k.len));
      trial.pairs += answer.tax * pairs + answer.selecting;
      trial.n_rows += static_cast<double>(n_rows);
      for (Pos i = 0; i < n_rows; ++i) {
        const double all = of_layer[static_cast<std::size_t>(i)];
        trial.mass += outcome.mass[static_cast<std::size_t>(i)];
        if (all > 0) trial.error += squares(row_of(outcome.delta, i, call.v.dim)) / all;
      }
    });
  }
}

}  // namespace saccade::app
