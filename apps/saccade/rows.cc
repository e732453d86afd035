#include "apps/saccade/rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "apps/saccade/context_options.h"
#include "apps/saccade/hash.h"
#include "apps/saccade/progress.h"
#include "plugins/llama/backend.h"
#include "saccade/base/error.h"

namespace saccade::app {

std::vector<Attention> attentions_of(const RowOptions& options) {
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

void check(const RowOptions& options, const std::vector<Attention>& attentions, const ModelFacts& model) {
  for (const auto& attention : attentions) check(attention, model);
  check(options, model);
}

Tokens tokens_of(const Model& model, const RowOptions& options, const std::string& text, std::int64_t n_reserved,
                 std::int64_t n_least) {
  Tokens tokens = model.begin();
  const Tokens body = model.tokenize(text, false);
  tokens.insert(tokens.end(), body.begin(), body.end());
  const auto given = static_cast<std::int64_t>(tokens.size());
  const std::int64_t most = options.given_ctx ? options.n_ctx : most_context(options, model.facts());
  const auto n = std::min(given, most - n_reserved);
  if (n < n_least)
    fail_user(fmt::format(
        "too little text: {} tokens of text in a context of {}, of which {} are reserved; at least {} are needed",
        given, most, n_reserved, n_least));
  if (n < given)
    std::fprintf(stderr, "saccade: the text is cut to its first %lld of %lld tokens\n", static_cast<long long>(n),
                 static_cast<long long>(given));
  tokens.resize(static_cast<std::size_t>(n));
  return tokens;
}

ContextOptions context_of(const Model& model, const RowOptions& options, const std::vector<Attention>& attentions,
                          std::int64_t n_tokens) {
  const auto needed = std::min(most_context(options, model.facts()), round_ctx(n_tokens));
  return context_options(options, attentions, n_tokens, options.given_ctx ? options.n_ctx : needed);
}

double prefill(Context& context, std::span<const Token> tokens, std::span<const Pos> wanted, const std::string& name,
               const SeeLogits& see) {
  Progress progress(name, static_cast<std::int64_t>(tokens.size()));
  double seconds = 0;
  std::size_t next = 0;
  for (std::size_t at = 0; at < tokens.size();) {
    const auto n = std::min(tokens.size() - at, static_cast<std::size_t>(context.n_ubatch()));
    std::vector<bool> outputs(n, false);
    std::vector<int> seen;
    for (; next + seen.size() < wanted.size();) {
      const auto position = static_cast<std::size_t>(wanted[next + seen.size()]);
      if (position >= at + n) break;
      outputs[position - at] = true;
      seen.push_back(static_cast<int>(position - at));
    }
    if (at + n == tokens.size()) outputs[n - 1] = true;  // the answer begins here
    const Stopwatch watch;
    context.decode(tokens.subspan(at, n), outputs);
    seconds += watch.seconds();
    for (const int i : seen) see(next++, context.logits(i));
    at += n;
    progress.at(static_cast<std::int64_t>(at));
  }
  return seconds;
}

std::string comparison_name(const ModelFacts& model, std::span<const Token> tokens, const ContextOptions& context,
                            const std::string& more) {
  const auto named = fmt::format("{} {} {} {} {} {} {} {} {}", model.fingerprint, model.file_bytes,
                                 Hash().add_values<Token>(tokens).text(), context.n_ctx, context.n_threads,
                                 context.n_ubatch, context.yarn, more, llama_version());
  return Hash().add(std::as_bytes(std::span(named))).text();
}

void warn_not_causal(const Attention& attention) {
  const auto attended = llama::record();
  if (!attention.ours() || attended.calls_not_causal == 0) return;
  std::fprintf(stderr, "saccade: %s: %lld of %lld calls ran dense, because their mask was not one causal run\n",
               attention.typed.c_str(), static_cast<long long>(attended.calls_not_causal),
               static_cast<long long>(attended.calls));
}

std::string json_of(const std::vector<nlohmann::ordered_json>& rows, bool lines) {
  if (!lines) return nlohmann::ordered_json(rows).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  std::string text;
  for (const auto& row : rows) text += row.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  return text;
}

}  // namespace saccade::app
