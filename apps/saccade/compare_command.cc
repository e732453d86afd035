#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "apps/saccade/attention.h"
#include "apps/saccade/compare_rows.h"
#include "apps/saccade/engine.h"
#include "apps/saccade/head_judge.h"
#include "apps/saccade/options.h"
#include "apps/saccade/output.h"
#include "apps/saccade/record.h"
#include "apps/saccade/reference_logits.h"
#include "apps/saccade/report_page.h"
#include "apps/saccade/resume_file.h"
#include "apps/saccade/rows.h"
#include "apps/saccade/text_file.h"
#include "plugins/llama/backend.h"
#include "saccade/judge/sample.h"

namespace saccade::app {
namespace {

constexpr std::int64_t kDecoded = 64, kReserve = kDecoded + 8;

/// What all rows share.
struct Shared {
  Tokens tokens;               ///< the prompt
  std::vector<Pos> positions;  ///< where the logits are compared
  ContextOptions context;
  ReferenceLogits reference;
};

double seconds(std::int64_t ns) { return static_cast<double>(ns) * 1e-9; }

/// Greedy decoding, as `run` would. Returns seconds.
double decode(Context& context) {
  auto next = static_cast<Token>(judge::top1(context.logits(-1)));
  const Stopwatch watch;
  for (std::int64_t i = 0; i < kDecoded; ++i) {
    context.decode({&next, 1});
    next = static_cast<Token>(judge::top1(context.logits(0)));
  }
  return watch.seconds();
}

CompareRow measure(const Model& model, const Attention& attention, Shared& shared, bool is_reference) {
  Context context(model, attention, shared.context);
  context.warm_up(shared.tokens);
  llama::reset_record();
  HeadJudge judge(static_cast<Pos>(shared.tokens.size()), context.n_ubatch());  // sees nothing of llama.cpp's own
  judge::FidelityMeter meter;
  if (is_reference) shared.reference.values.resize(shared.reference.n_positions * shared.reference.n_vocab);
  CompareRow row{.attn = attention.typed};
  row.n_prompt = static_cast<std::int64_t>(shared.tokens.size());
  row.prefill_s = prefill(context, shared.tokens, shared.positions, attention.typed,
                          [&](std::size_t sample, std::span<const float> logits) {
                            if (is_reference)
                              std::ranges::copy(logits, shared.reference.values.begin() +
                                                            static_cast<std::ptrdiff_t>(sample * logits.size()));
                            const auto next = shared.tokens[static_cast<std::size_t>(shared.positions[sample]) + 1];
                            meter.add(shared.reference.row(sample), logits, static_cast<std::size_t>(next));
                          });
  const auto attended = llama::record();
  row.prefill_s -= seconds(attended.judged_ns);
  row.prefill_tok_per_s = per_second(row.n_prompt, row.prefill_s);
  row.density = attention.ours() ? density(attended) : std::optional(1.0);
  if (attention.ours()) row.skipped = share_skipped(attended);
  if (attention.ours()) row.attention_s = seconds(attended.attention_ns);
  if (attention.ours()) row.selection_s = seconds(attended.selection_ns);
  if (attention.ours()) row.linear_s = seconds(attended.linear_ns);
  warn_not_causal(attention);
  row.kv_bytes = context.kv_bytes();
  row.fidelity = meter.result();
  const double decode_s = decode(context);
  const auto all = llama::record();
  row.decode_tok_per_s = per_second(kDecoded, decode_s - seconds(all.judged_ns - attended.judged_ns));
  if (attention.ours()) row.decode_attention_s = seconds(all.attention_ns - attended.attention_ns);
  if (attention.ours()) row.decode_density = density_after(attended, all);
  row.heads = judge.prompt();
  row.decode_heads = judge.decode();
  return row;
}

Shared share(const Model& model, const CompareOptions& options, const std::vector<Attention>& attentions,
             const std::string& text) {
  Shared shared;
  shared.tokens = tokens_of(model, options, text, kReserve, 2);
  const auto n_prompt = static_cast<std::int64_t>(shared.tokens.size());
  shared.positions = judge::sample_positions(n_prompt);
  shared.context = context_of(model, options, attentions, n_prompt + kReserve);
  shared.reference.n_positions = shared.positions.size();
  shared.reference.n_vocab = static_cast<std::size_t>(model.n_vocab());
  return shared;
}

std::optional<CompareRow> find(const ResumeFile& resume, const Attention& attention) {
  const auto json = resume.find(attention);
  auto row = json ? row_from_json(*json) : std::nullopt;
  if (row) row->attn = attention.typed;
  return row;
}

std::string report(const std::vector<CompareRow>& rows, bool lines) {
  std::vector<nlohmann::ordered_json> array;
  for (const auto& row : rows) array.push_back(to_json(row));
  return json_of(array, lines);
}

std::string page_of(const std::vector<CompareRow>& rows, const std::vector<Attention>& attentions,
                    const CompareOptions& options) {
  std::vector<bool> skips;
  for (const auto& attention : attentions) skips.push_back(attention.skips());
  return html_of(rows, skips, options);
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
  check(options, attentions, facts);

  const Model model(options.model, std::move(facts), options.verbose, attentions.front());
  Shared shared = share(model, options, attentions, text);
  resume.begin(comparison_name(model.facts(), shared.tokens, shared.context, attentions.front().canonical));
  const bool all_done = std::ranges::all_of(attentions, [&](const auto& one) { return find(resume, one).has_value(); });
  std::vector<CompareRow> rows;
  for (const auto& attention : attentions) {
    const bool is_reference = rows.empty();
    auto row = find(resume, attention);
    // A row that is still to be measured needs the reference's logits.
    if (is_reference && row && !all_done && !shared.reference.load(resume)) row.reset();
    if (!row) {
      row = measure(model, attention, shared, is_reference);
      if (is_reference) shared.reference.save(resume);
      resume.add(attention, to_json(*row));
    }
    rows.push_back(*row);
  }
  if (output) {
    output->write(options.output.ends_with(".html") ? page_of(rows, attentions, options)
                                                    : report(rows, options.output.ends_with(".jsonl")));
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
