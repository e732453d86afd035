#include "apps/saccade/eval_task.h"
#include "apps/saccade/rows.h"
#include "saccade/judge/perplexity.h"

namespace saccade::app {
namespace {

constexpr std::int64_t kLeast = 512;  ///< tokens: below that perplexity says more of the sentence than of the attention

PplRow measure(const Model& model, const Attention& attention, const Tokens& tokens, const ContextOptions& options) {
  Context context(model, attention, options);
  context.warm_up(tokens);
  llama::reset_record();
  judge::PerplexityMeter meter;
  const auto n_prompt = static_cast<std::int64_t>(tokens.size());
  const auto positions = judge::second_half(n_prompt);
  const auto seconds =
      prefill(context, tokens, positions, attention.typed, [&](std::size_t i, std::span<const float> logits) {
        meter.add(logits, static_cast<std::size_t>(tokens[static_cast<std::size_t>(positions[i]) + 1]));
      });
  warn_not_causal(attention);
  return {.attn = attention.typed,
          .cost = reading_cost(attention, llama::record(), n_prompt, seconds),
          .n_scored = meter.count(),
          .ppl = meter.perplexity()};
}

}  // namespace

std::vector<PplRow> eval_ppl(const EvalInput& input) {
  const Tokens tokens = tokens_of(input.model, input.options, input.text, 0, kLeast);
  const auto options =
      context_of(input.model, input.options, input.attentions, static_cast<std::int64_t>(tokens.size()));
  input.resume.begin(comparison_name(input.model.facts(), tokens, options, "ppl"));
  return finished_rows<PplRow>(input, ppl_row_from_json, [&](const Attention& attention) {
    return measure(input.model, attention, tokens, options);
  });
}

}  // namespace saccade::app
