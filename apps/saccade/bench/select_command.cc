#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "apps/saccade/bench/select_judge.h"
#include "apps/saccade/bench/select_options.h"
#include "apps/saccade/bench/select_rows.h"
#include "apps/saccade/bench/session.h"
#include "apps/saccade/context_options.h"
#include "apps/saccade/engine.h"
#include "apps/saccade/output.h"
#include "apps/saccade/progress.h"
#include "apps/saccade/rows.h"
#include "apps/saccade/text_file.h"
#include "saccade/base/error.h"
#include "saccade/judge/fidelity.h"

namespace saccade::app {
namespace {

Attention ours(Attention attention, const char* flag) {
  if (!attention.ours())
    fail_user(fmt::format("bench select: {} must be an attention of ours, got {}", flag, attention.typed));
  return attention;
}

std::vector<Attention> specs_of(const SelectOptions& options) {
  if (options.attn.empty() && options.plans.empty())
    fail_user("bench select: what to select with? --attn SPEC or --plan PLAN.json, once or more");
  std::vector<Attention> all;
  for (Attention& attention : attentions_of(options)) all.push_back(ours(std::move(attention), "--attn"));
  return all;
}

std::vector<int> layers_of(const SelectOptions& options, const ModelFacts& model) {
  constexpr int kLayers = 6;
  std::set<int> layers;
  for (const auto layer : options.layers) {
    in_range("--layers", layer, 0, model.n_layers - 1);
    layers.insert(static_cast<int>(layer));
  }
  for (int i = 0; layers.size() < kLayers && options.layers.empty() && i < kLayers; ++i)
    layers.insert(i * (model.n_layers - 1) / (kLayers - 1));
  return {layers.begin(), layers.end()};
}

/// Where the batches of a prompt end. The first one is the short one, so that those that are judged are whole.
std::vector<Pos> batch_ends(Pos n_prompt, Pos n_ubatch) {
  std::vector<Pos> ends;
  for (Pos end = n_prompt; end > 0; end -= n_ubatch) ends.insert(ends.begin(), end);
  return ends;
}

/// The batches that end nearest to the wanted shares of the prompt.
std::vector<Pos> chosen_ends(const std::vector<Pos>& ends, const std::vector<std::int64_t>& percent) {
  std::set<Pos> chosen;
  for (const auto share : percent) {
    const Pos wanted = ends.back() * share / 100;
    chosen.insert(*std::ranges::min_element(ends, {}, [&](Pos end) { return std::abs(end - wanted); }));
  }
  return {chosen.begin(), chosen.end()};
}

void read_prompt(Context& context, const Tokens& tokens, const std::vector<Pos>& ends, const std::string& name) {
  Progress progress(name, ends.back());
  std::size_t at = 0;
  for (const Pos end : ends) {
    const auto n = static_cast<std::size_t>(end) - at;
    context.decode(std::span(tokens).subspan(at, n));
    at += n;
    progress.at(end);
  }
}

void decode(Context& context, std::int64_t n_tokens) {
  for (std::int64_t i = 0; i < n_tokens; ++i) {
    const auto next = static_cast<Token>(judge::top1(context.logits(i == 0 ? -1 : 0)));
    context.decode({&next, 1});
  }
}

}  // namespace

void check(const SelectOptions& options) {
  check(static_cast<const ModelOptions&>(options));
  for (const auto percent : options.at) in_range("--at", percent, 1, 100);
  in_range("--rows", options.n_rows, 1, 4096);
  in_range("--decode", options.n_decoded, 0, 4096);
  in_range("-r", options.repetitions, 1, 1 << 20);
}

void bench_select(const SelectOptions& options) {
  check(options);
  const std::string text = read_text(options.text);
  const auto specs = specs_of(options);
  Attention along = ours(attention_from_spec(options.along), "--along");
  along = with_linear(in_precision(std::move(along), options.precision), options.linear);
  std::vector<Attention> all = specs;
  all.push_back(along);
  ModelFacts facts = read_model_file(options.model);
  check(options, all, facts);
  const auto layers = layers_of(options, facts);

  const Model model(options.model, std::move(facts), options.verbose, along);
  const Tokens tokens = tokens_of(model, options, text, options.n_decoded, 2);
  const auto n_prompt = static_cast<Pos>(tokens.size());
  const ContextOptions shape = context_of(model, options, all, n_prompt + options.n_decoded);
  BenchOptions machine;
  machine.threads = {shape.n_threads};
  const Session session(machine, {.repetitions = options.repetitions});
  Context context(model, along, shape);
  context.warm_up(tokens);
  const auto ends = batch_ends(n_prompt, context.n_ubatch());
  SelectJudge judge({.attentions = specs,
                     .layers = layers,
                     .ends = chosen_ends(ends, options.at),
                     .n_prompt = n_prompt,
                     .n_rows = options.n_rows,
                     .repetitions = options.repetitions,
                     .precision = along.plan->precision(),
                     .fallbacks = options.fallbacks});
  read_prompt(context, tokens, ends, along.typed);
  decode(context, options.n_decoded);

  const auto results = judge.results();
  const Json summary = select_summary(results);
  if (options.json) {
    Json rows = Json::array();
    for (const SelectResult& result : results) rows.push_back(select_row(result));
    Json report = session.report("select", rows);
    report.update({{"model", options.model},
                   {"text", options.text},
                   {"n_prompt", n_prompt},
                   {"along", along.typed},
                   {"precision", name_of(along.plan->precision())},
                   {"threads", shape.n_threads},
                   {"ubatch", context.n_ubatch()},
                   {"yarn", options.yarn},
                   {"fallbacks", options.fallbacks},
                   {"layers", layers},
                   {"rows_of_head", options.n_rows},
                   {"summary", summary}});
    return print(report.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  }
  print(session.title("select") +
        fmt::format("{} tokens along {}, {} threads, {} a batch; layers {}; {} rows a head{}\n\n", n_prompt,
                    along.typed, shape.n_threads, context.n_ubatch(), fmt::join(layers, ", "), options.n_rows,
                    options.fallbacks ? "; with fallbacks" : "") +
        select_table(summary));
}

}  // namespace saccade::app
