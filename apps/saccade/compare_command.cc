#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>

#include "apps/saccade/attention.h"
#include "apps/saccade/compare_rows.h"
#include "apps/saccade/engine.h"
#include "apps/saccade/hash.h"
#include "apps/saccade/interrupt.h"
#include "apps/saccade/options.h"
#include "apps/saccade/output.h"
#include "apps/saccade/progress.h"
#include "apps/saccade/record.h"
#include "apps/saccade/text_file.h"
#include "plugins/llama/backend.h"
#include "saccade/base/error.h"
#include "saccade/judge/sample.h"

namespace saccade::app {
namespace {

constexpr std::int64_t kDecoded = 64, kReserve = kDecoded + 8;

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// What all rows share.
struct Shared {
  Tokens tokens;               ///< the prompt
  std::vector<Pos> positions;  ///< where the logits are compared
  ContextOptions context;
  ReferenceLogits reference;
};

std::vector<Attention> attentions_of(const CompareOptions& options) {
  std::vector<Attention> attentions;
  for (const auto& spec : options.attn) attentions.push_back(attention_from_spec(spec));
  for (const auto& path : options.plans) attentions.push_back(attention_from_plan(path));
  if (attentions.empty()) attentions = {attention_from_spec("ggml"), attention_from_spec("dense")};
  if (options.given_precision)
    for (auto& attention : attentions) attention = in_precision(std::move(attention), options.precision);
  if (options.given_linear)
    for (auto& attention : attentions) attention = with_linear(std::move(attention), options.linear);
  return attentions;
}

/// Prefill with logits at the sampled positions; `see` is called with each of them, outside the clock.
template <class See>
double prefill(Context& context, const Shared& shared, const std::string& name, See see) {
  Progress progress(name, static_cast<std::int64_t>(shared.tokens.size()));
  double seconds = 0;
  std::size_t sample = 0;
  for (std::size_t at = 0; at < shared.tokens.size();) {
    const auto n = std::min(shared.tokens.size() - at, static_cast<std::size_t>(context.n_ubatch()));
    std::vector<bool> wanted(n, false);
    std::vector<int> seen;
    for (; sample + seen.size() < shared.positions.size();) {
      const auto position = static_cast<std::size_t>(shared.positions[sample + seen.size()]);
      if (position >= at + n) break;
      wanted[position - at] = true;
      seen.push_back(static_cast<int>(position - at));
    }
    if (at + n == shared.tokens.size()) wanted[n - 1] = true;  // the answer begins here
    const auto start = Clock::now();
    context.decode(std::span(shared.tokens).subspan(at, n), wanted);
    seconds += since(start);
    for (const int i : seen) see(sample++, context.logits(i));
    at += n;
    progress.at(static_cast<std::int64_t>(at));
  }
  return seconds;
}

/// Greedy decoding, as `run` would.
double decode_speed(Context& context) {
  auto next = static_cast<Token>(judge::top1(context.logits(-1)));
  const auto start = Clock::now();
  for (std::int64_t i = 0; i < kDecoded; ++i) {
    context.decode({&next, 1});
    next = static_cast<Token>(judge::top1(context.logits(0)));
  }
  return per_second(kDecoded, since(start));
}

CompareRow measure(const Model& model, const Attention& attention, Shared& shared, bool is_reference) {
  Context context(model, attention, shared.context);
  context.warm_up(shared.tokens);
  llama::reset_record();
  judge::FidelityMeter meter;
  if (is_reference) shared.reference.values.resize(shared.reference.n_positions * shared.reference.n_vocab);
  CompareRow row{.attn = attention.typed};
  row.n_prompt = static_cast<std::int64_t>(shared.tokens.size());
  row.prefill_s = prefill(context, shared, attention.typed, [&](std::size_t sample, std::span<const float> logits) {
    if (is_reference)
      std::ranges::copy(logits, shared.reference.values.begin() + static_cast<std::ptrdiff_t>(sample * logits.size()));
    const auto next = shared.tokens[static_cast<std::size_t>(shared.positions[sample]) + 1];
    meter.add(shared.reference.row(sample), logits, static_cast<std::size_t>(next));
  });
  row.prefill_tok_per_s = per_second(row.n_prompt, row.prefill_s);
  const auto attended = llama::record();
  row.density = attention.ours() ? density(attended) : std::optional(1.0);
  if (attention.ours()) row.attention_s = static_cast<double>(attended.attention_ns) * 1e-9, row.selection_s = 0;
  if (attention.ours()) row.linear_s = static_cast<double>(attended.linear_ns) * 1e-9;
  if (attention.ours() && attended.calls_not_causal > 0)
    std::fprintf(stderr, "saccade: %s: %lld of %lld calls ran dense, because their mask was not one causal run\n",
                 attention.typed.c_str(), static_cast<long long>(attended.calls_not_causal),
                 static_cast<long long>(attended.calls));
  row.kv_bytes = context.kv_bytes();
  row.fidelity = meter.result();
  row.decode_tok_per_s = decode_speed(context);
  return row;
}

Shared share(const Model& model, const CompareOptions& options, const std::string& text) {
  Shared shared;
  shared.tokens = model.begin();
  const Tokens body = model.tokenize(text, false);
  shared.tokens.insert(shared.tokens.end(), body.begin(), body.end());
  const auto given = static_cast<std::int64_t>(shared.tokens.size());
  const std::int64_t most = options.given_ctx ? options.n_ctx : model.facts().n_ctx_train;
  const auto n_prompt = std::min(given, most - kReserve);
  if (n_prompt < 2)
    fail_user(fmt::format("nothing to compare: {} tokens of text in a context of {}, of which {} are reserved", given,
                          most, kReserve));
  if (n_prompt < given)
    std::fprintf(stderr, "saccade: the text is cut to its first %lld of %lld tokens\n",
                 static_cast<long long>(n_prompt), static_cast<long long>(given));
  shared.tokens.resize(static_cast<std::size_t>(n_prompt));
  shared.positions = judge::sample_positions(n_prompt);
  shared.context = {
      .n_ctx = static_cast<int>(options.given_ctx ? options.n_ctx : std::min(most, round_ctx(n_prompt + kReserve))),
      .n_threads = options.given_threads ? static_cast<int>(options.n_threads) : default_threads(),
      .n_ubatch = static_cast<int>(options.n_ubatch)};
  shared.reference.n_positions = shared.positions.size();
  shared.reference.n_vocab = static_cast<std::size_t>(model.n_vocab());
  return shared;
}

/// Rows with the same name may stand in one table. Without the tokens' hash it is only a guess that cannot be wrong
/// about anything but the text, so the tokens are in it.
std::string comparison_name(const ModelFacts& model, const Shared& shared, const Attention& reference) {
  const auto named = fmt::format(
      "{} {} {} {} {} {} {} {}", model.fingerprint, model.file_bytes, Hash().add_values<Token>(shared.tokens).text(),
      shared.context.n_ctx, shared.context.n_threads, shared.context.n_ubatch, reference.canonical, llama_version());
  return Hash().add(std::as_bytes(std::span(named))).text();
}

std::string report(const std::vector<CompareRow>& rows, bool lines) {
  auto array = nlohmann::ordered_json::array();
  std::string text;
  for (const auto& row : rows) {
    array.push_back(to_json(row));
    text += to_json(row).dump() + "\n";
  }
  return lines ? text : array.dump(2) + "\n";
}

}  // namespace

void compare_command(const CompareOptions& options) {
  check(options);
  const std::string text = read_text(options.text);
  const auto attentions = attentions_of(options);
  std::unique_ptr<OutputFile> output;
  if (!options.output.empty()) output = std::make_unique<OutputFile>(options.output);
  ResumeFile resume(options.resume);
  ModelFacts facts = read_model_file(options.model);
  for (const auto& attention : attentions) check(attention, facts);
  if (options.given_ctx && options.n_ctx > facts.n_ctx_train)
    fail_user(fmt::format("-c must be <= {}, the context this model was trained for, got {}", facts.n_ctx_train,
                          options.n_ctx));

  const Model model(options.model, std::move(facts), options.verbose);
  Shared shared = share(model, options, text);
  resume.begin(comparison_name(model.facts(), shared, attentions.front()));
  const bool all_done = std::ranges::all_of(attentions, [&](const auto& one) { return resume.find(one).has_value(); });
  std::vector<CompareRow> rows;
  for (const auto& attention : attentions) {
    const bool is_reference = rows.empty();
    auto row = resume.find(attention);
    // A row that is still to be measured needs the reference's logits.
    if (is_reference && row && !all_done && !resume.load(shared.reference)) row.reset();
    if (!row) {
      row = measure(model, attention, shared, is_reference);
      if (is_reference) resume.save(shared.reference);
      resume.add(attention, *row);
    }
    rows.push_back(*row);
  }
  if (output) {
    output->write(report(rows, options.output.ends_with(".jsonl")));
    output->commit();
  }
  if (options.json) return print(report(rows, false));
  print(table_of(rows));
  for (const auto& attention : attentions)
    if (attention.skips())
      print(fmt::format("{}: ATTENTION WAS SKIPPED; this row is the floor of the times, its answers are worthless\n",
                        attention.typed));
}

}  // namespace saccade::app
