#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/saccade/attention.h"
#include "apps/saccade/engine.h"
#include "apps/saccade/output.h"
#include "apps/saccade/rows.h"
#include "apps/saccade/text_file.h"
#include "apps/saccade/tune_judge.h"
#include "apps/saccade/tune_options.h"
#include "saccade/base/error.h"
#include "saccade/plan/by_head.h"
#include "saccade/plan/ladder.h"
#include "saccade/where/parts/allot.h"

namespace saccade::app {
namespace {

/// Below that most of what is measured is a text's beginning, where everybody sees everything.
constexpr std::int64_t kLeast = 2048;

constexpr const char* kDense = "dense";

/// The specs that heads may get, each once: what --attn stands for, windows, and dense. The order breaks ties.
std::vector<std::string> candidates_of(const TuneOptions& options) {
  std::vector<std::string> named = options.attn;
  if (named.empty()) named = {"sparge", "xattention"};
  named.insert(named.end(), {"streaming", kDense});
  std::vector<std::string> specs;
  for (const auto& typed : named) {
    for (const auto& spec : ladder_of(typed)) {
      const Attention attention = attention_from_spec(spec);
      if (!attention.ours()) fail_user(fmt::format("tune: --attn must be an attention of ours, got {}", typed));
      if (attention.skips()) fail_user(fmt::format("tune: --attn must look at something, got {}", typed));
      if (std::ranges::find(specs, attention.canonical) == specs.end()) specs.push_back(attention.canonical);
    }
  }
  return specs;
}

/// What was measured, and what became of it.
struct Tuned {
  std::vector<std::string> specs;
  std::map<TuneJudge::Place, std::vector<Trial>> trials;
  std::vector<std::size_t> chosen;  ///< of each head, in the order of `trials`
  std::int64_t n_prompt = 0;
  double cost = 0, error = 0;  ///< of dense attention's; mean over heads
  double seconds = 0;
};

std::vector<Offer> offers_of(const std::vector<Trial>& trials) {
  std::vector<Offer> offers;
  for (const Trial& trial : trials) offers.push_back({trial.pairs, trial.error / trial.n_rows});
  return offers;
}

void allot(Tuned& tuned, double budget) {
  const auto dense = static_cast<std::size_t>(std::ranges::find(tuned.specs, kDense) - tuned.specs.begin());
  std::vector<std::vector<Offer>> offers;
  double all = 0, least = 0;
  for (const auto& [place, trials] : tuned.trials) {
    offers.push_back(offers_of(trials));
    all += trials[dense].pairs;
    least += std::ranges::min(trials, {}, &Trial::pairs).pairs;
  }
  tuned.chosen = saccade::allot(offers, budget * all);
  if (tuned.chosen.empty())
    fail_user(fmt::format("tune: --budget must be >= {:.3f}, what the cheapest candidates cost on this text, got {}",
                          least / all, budget));
  for (std::size_t i = 0; i < offers.size(); ++i) {
    tuned.cost += offers[i][tuned.chosen[i]].cost / all;
    tuned.error += offers[i][tuned.chosen[i]].error / static_cast<double>(offers.size());
  }
}

Tuned measure(const Model& model, const TuneOptions& options, const std::string& text,
              const std::vector<std::string>& specs, const Attention& along) {
  Tuned tuned{.specs = specs, .trials = {}, .chosen = {}};
  std::vector<Attention> all;
  std::vector<Plan> plans;
  for (const auto& spec : specs) all.push_back(attention_from_spec(spec)), plans.push_back(*all.back().plan);
  check(along, model.facts());
  const Tokens tokens = tokens_of(model, options, text, 0, kLeast);
  tuned.n_prompt = static_cast<std::int64_t>(tokens.size());
  Context context(model, along, context_of(model, options, all, tuned.n_prompt));
  context.warm_up(tokens);
  TuneJudge judge(plans, tuned.n_prompt, context.n_ubatch());
  const Stopwatch watch;
  prefill(context, tokens, {}, "tune", {});
  tuned.seconds = watch.seconds();
  tuned.trials = judge.trials();
  if (tuned.trials.empty()) fail_user("tune: this model has no layer whose attention a plan can choose");
  return tuned;
}

nlohmann::ordered_json to_json(const Tuned& tuned, const TuneOptions& options) {
  auto heads = nlohmann::ordered_json::array(), trials = nlohmann::ordered_json::array();
  std::size_t i = 0;
  for (const auto& [place, of_head] : tuned.trials) {
    heads.push_back({place.first, place.second, tuned.specs[tuned.chosen[i++]]});
    for (std::size_t c = 0; c < of_head.size(); ++c) {
      const Trial& trial = of_head[c];
      trials.push_back(
          {place.first, place.second, c, trial.pairs, trial.mass / trial.n_rows, trial.error / trial.n_rows});
    }
  }
  return {{"model", options.model}, {"n_prompt", tuned.n_prompt}, {"budget", options.budget},  {"cost", tuned.cost},
          {"error", tuned.error},   {"seconds", tuned.seconds},   {"candidates", tuned.specs}, {"heads", heads},
          {"trials", trials}};
}

PlanRows plan_of(const Tuned& tuned) {
  std::map<std::pair<int, int>, std::string> specs;
  std::size_t i = 0;
  for (const auto& [place, trials] : tuned.trials) specs[place] = tuned.specs[tuned.chosen[i++]];
  return plan_by_head(specs);
}

/// For people: how many heads got which candidate.
std::string table_of(const Tuned& tuned, const TuneOptions& options) {
  std::string text = fmt::format("{}: {:.3f} of dense attention's cost, error {:.2g}; {} tokens read in {:.1f} s\n",
                                 options.output, tuned.cost, tuned.error, tuned.n_prompt, tuned.seconds);
  for (std::size_t c = 0; c < tuned.specs.size(); ++c) {
    const auto n_heads = std::ranges::count(tuned.chosen, c);
    if (n_heads > 0) text += fmt::format("{:>6} heads  {}\n", n_heads, tuned.specs[c]);
  }
  return text;
}

}  // namespace

void check(const TuneOptions& options) {
  check(static_cast<const ModelOptions&>(options));
  if (!(options.budget > 0 && options.budget <= 1))
    fail_user(fmt::format("--budget must be > 0 and <= 1, got {}", options.budget));
  if (!options.output.ends_with(".json")) fail_user(fmt::format("-o must end in .json, got '{}'", options.output));
}

void tune_command(const TuneOptions& options) {
  check(options);
  const std::string text = read_text(options.text);
  const auto specs = candidates_of(options);
  OutputFile output(options.output);
  ModelFacts facts = read_model_file(options.model);
  check(options, {}, facts);
  const Attention along = with_linear(in_precision(attention_from_spec(kDense), options.precision), options.linear);
  const Model model(options.model, std::move(facts), options.verbose, along);
  Tuned tuned = measure(model, options, text, specs, along);
  allot(tuned, options.budget);
  output.write(write_plan(plan_of(tuned)) + "\n");
  output.commit();
  if (options.json) return print(to_json(tuned, options).dump(1) + "\n");
  print(table_of(tuned, options));
}

}  // namespace saccade::app
