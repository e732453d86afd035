#include "apps/saccade/record.h"

#include <fmt/format.h>

#include "saccade/kernel/matrix_unit.h"

namespace saccade::app {
namespace {

double share_of_visited(const llama::Record& record, std::int64_t pairs) {
  return record.pairs_visited <= 0 ? 0 : static_cast<double>(pairs) / static_cast<double>(record.pairs_visited);
}

}  // namespace

std::optional<double> density(const llama::Record& record) {
  if (record.pairs_dense <= 0) return std::nullopt;
  return static_cast<double>(record.pairs_visited) / static_cast<double>(record.pairs_dense);
}

double share_i16(const llama::Record& record) { return share_of_visited(record, record.pairs_i16); }
double share_bf16(const llama::Record& record) { return share_of_visited(record, record.pairs_bf16); }

double per_second(std::int64_t n, double seconds) { return seconds > 0 ? static_cast<double>(n) / seconds : 0; }

/// Whose linear layers ran.
std::string linear_text(const RunRecord& record) {
  if (!record.attention.ours() || record.attended.linear_calls == 0) return "llama.cpp's own";
  const double seconds = static_cast<double>(record.attended.linear_ns) * 1e-9;
  return fmt::format("{} products of a prompt's tokens ours: {:.2f} s, {:.0f} GFLOP/s; the others llama.cpp's own",
                     record.attended.linear_calls, seconds, per_second(record.attended.linear_flop, seconds) * 1e-9);
}

nlohmann::ordered_json to_json(const RunRecord& record) {
  const bool ours = record.attention.ours();
  const auto if_ours = [&](auto value) {
    return ours ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
  };
  const auto share = density(record.attended);
  return {{"model", record.model},
          {"attn", record.attention.typed},
          {"skips_attention", record.attention.skips()},
          {"n_prompt", record.n_prompt},
          {"n_reused", record.n_reused},
          {"n_generated", record.n_generated},
          {"n_text", record.n_text_used},
          {"n_text_given", record.n_text_given},
          {"n_ctx", record.n_ctx},
          {"threads", record.n_threads},
          {"stop", record.stop},
          {"prefill_s", record.prefill_s},
          {"prefill_tok_per_s", per_second(record.n_prompt - record.n_reused, record.prefill_s)},
          {"decode_s", record.decode_s},
          {"decode_tok_per_s", per_second(record.n_decoded, record.decode_s)},
          {"attention_s", if_ours(static_cast<double>(record.attended.attention_ns) * 1e-9)},
          {"selection_s", if_ours(0.0)},
          {"pairs_visited", if_ours(record.attended.pairs_visited)},
          {"pairs_dense", if_ours(record.attended.pairs_dense)},
          {"density", ours && share ? nlohmann::ordered_json(*share) : nlohmann::ordered_json(nullptr)},
          {"share_i16", if_ours(share_i16(record.attended))},
          {"share_bf16", if_ours(share_bf16(record.attended))},
          {"calls", if_ours(record.attended.calls)},
          {"calls_not_causal", if_ours(record.attended.calls_not_causal)},
          {"linear", ours ? std::string(name_of(record.attention.plan->linear())) : "ggml"},
          {"linear_s", if_ours(static_cast<double>(record.attended.linear_ns) * 1e-9)},
          {"linear_calls", if_ours(record.attended.linear_calls)},
          {"kv_bytes", record.kv_bytes}};
}

std::string to_text(const RunRecord& record) {
  std::string text;
  const auto line = [&](const char* name, const std::string& value) {
    text += fmt::format("  {:<11} {}\n", name, value);
  };
  const auto total_s = record.prefill_s + record.decode_s,
             attention_s = static_cast<double>(record.attended.attention_ns) * 1e-9;
  text += "fidelity record\n";
  line("attention", record.attention.typed + (record.attention.ours() ? "" : " (llama.cpp's own)"));
  if (record.attention.skips())
    line("WARNING", "ATTENTION WAS SKIPPED somewhere ('none'): the answer is worthless, only the times mean something");
  line("prompt", fmt::format("{} tokens{}", record.n_prompt,
                             record.n_reused > 0 ? fmt::format(", {} of them from the session", record.n_reused) : ""));
  if (record.n_text_used < record.n_text_given)
    line("truncated", fmt::format("the first {} of the text's {} tokens", record.n_text_used, record.n_text_given));
  line("prefill", fmt::format("{:.2f} s, {:.1f} tokens/s", record.prefill_s,
                              per_second(record.n_prompt - record.n_reused, record.prefill_s)));
  line("answer",
       fmt::format("{} tokens, {:.1f} tokens/s ({})", record.n_generated, per_second(record.n_decoded, record.decode_s),
                   record.stop == "end" ? "the model ended it" : "cut at -n"));
  line("linear", linear_text(record));
  if (record.attention.ours()) {
    line("in attention", fmt::format("{:.2f} s, {:.1f} % of the time; selection 0 %", attention_s,
                                     total_s > 0 ? 100 * attention_s / total_s : 0));
    const auto share = density(record.attended);
    line("pairs", fmt::format("{} of {} dense: density {}", record.attended.pairs_visited, record.attended.pairs_dense,
                              share ? fmt::format("{:.4f}", *share) : "unknown"));
    line("precision", fmt::format("{}: bf16 for {:.1f} % of the pairs, i16 for {:.1f} %, f32 for the others ({})",
                                  name_of(record.attention.plan->precision()), 100 * share_bf16(record.attended),
                                  100 * share_i16(record.attended), kernel::matrix_unit_status()));
    if (record.attended.calls_not_causal > 0)
      line("ran dense", fmt::format("{} of {} calls, because their mask was not one causal run",
                                    record.attended.calls_not_causal, record.attended.calls));
  } else {
    line("in attention", "not measured: llama.cpp's own");
  }
  line("KV", fmt::format("{} bytes ({:.1f} MiB)", record.kv_bytes, static_cast<double>(record.kv_bytes) / (1 << 20)));
  return text;
}

}  // namespace saccade::app
