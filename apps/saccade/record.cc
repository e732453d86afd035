#include "apps/saccade/record.h"

#include <fmt/format.h>

#include "saccade/kernel/matrix_unit.h"

namespace saccade::app {
namespace {

double share_of_visited(const llama::Record& record, std::int64_t pairs) {
  return record.pairs_visited <= 0 ? 0 : static_cast<double>(pairs) / static_cast<double>(record.pairs_visited);
}

}  // namespace

std::optional<double> density(const llama::Record& record) { return density_after({}, record); }

std::optional<double> density_after(const llama::Record& before, const llama::Record& all) {
  const auto dense = all.pairs_dense - before.pairs_dense;
  if (dense <= 0) return std::nullopt;
  return static_cast<double>(all.pairs_visited - before.pairs_visited) / static_cast<double>(dense);
}

double share_i16(const llama::Record& record) { return share_of_visited(record, record.pairs_i16); }
double share_bf16(const llama::Record& record) { return share_of_visited(record, record.pairs_bf16); }
double share_skipped(const llama::Record& record) { return share_of_visited(record, record.pairs_skipped); }

double linear_share_bf16(const llama::Record& record) {
  return record.linear_flop <= 0 ? 0
                                 : static_cast<double>(record.linear_bf16) / static_cast<double>(record.linear_flop);
}

double per_second(std::int64_t n, double seconds) { return seconds > 0 ? static_cast<double>(n) / seconds : 0; }

/// "0.1234", or "unknown".
std::string density_text(const std::optional<double>& share) {
  return share ? fmt::format("{:.4f}", *share) : "unknown";
}

/// What the selectors did; empty where there were none.
std::string selection_text(const llama::Record& record) {
  if (record.heads_chosen == 0) return "";
  const auto dense = record.heads_dense_by_rule + record.heads_dense_by_floor + record.heads_dense_by_cost;
  return fmt::format("{} heads of calls, {} of them dense: {} by the selector's rule, {} by the floor, {} by cost",
                     record.heads_chosen, dense, record.heads_dense_by_rule, record.heads_dense_by_floor,
                     record.heads_dense_by_cost);
}

/// Whose linear layers ran.
std::string linear_text(const RunRecord& record) {
  if (!record.attention.ours() || record.attended.linear_calls == 0) return "llama.cpp's own";
  const double seconds = static_cast<double>(record.attended.linear_ns) * 1e-9;
  return fmt::format(
      "{} products of a prompt's tokens ours: {:.2f} s, {:.0f} GFLOP/s, {:.1f} % bf16, else i16; the others "
      "llama.cpp's own",
      record.attended.linear_calls, seconds, per_second(record.attended.linear_flop, seconds) * 1e-9,
      100 * linear_share_bf16(record.attended));
}

nlohmann::ordered_json to_json(const RunRecord& record) {
  const bool ours = record.attention.ours();
  const auto if_ours = [&](auto value) {
    return ours ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
  };
  const auto number_or_null = [&](const std::optional<double>& value) {
    return ours && value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
  };
  return {{"model", record.model},
          {"attn", record.attention.typed},
          {"skips_attention", record.attention.skips()},
          {"n_prompt", record.n_prompt},
          {"n_reused", record.n_reused},
          {"n_generated", record.n_generated},
          {"n_text", record.n_text_used},
          {"n_text_given", record.n_text_given},
          {"n_ctx", record.n_ctx},
          {"ubatch", record.n_ubatch},
          {"yarn", record.yarn},
          {"threads", record.n_threads},
          {"stop", record.stop},
          {"prefill_s", record.prefill_s},
          {"prefill_tok_per_s", per_second(record.n_prompt - record.n_reused, record.prefill_s)},
          {"decode_s", record.decode_s},
          {"decode_tok_per_s", per_second(record.n_decoded, record.decode_s)},
          {"attention_s", if_ours(static_cast<double>(record.attended.attention_ns) * 1e-9)},
          {"selection_s", if_ours(static_cast<double>(record.attended.selection_ns) * 1e-9)},
          {"pairs_visited", if_ours(record.attended.pairs_visited)},
          {"pairs_dense", if_ours(record.attended.pairs_dense)},
          {"density", number_or_null(density(record.attended))},
          {"prefill_density", number_or_null(density(record.prefilled))},
          {"decode_density", number_or_null(density_after(record.prefilled, record.attended))},
          {"heads_chosen", if_ours(record.attended.heads_chosen)},
          {"heads_dense_by_rule", if_ours(record.attended.heads_dense_by_rule)},
          {"heads_dense_by_floor", if_ours(record.attended.heads_dense_by_floor)},
          {"heads_dense_by_cost", if_ours(record.attended.heads_dense_by_cost)},
          {"share_i16", if_ours(share_i16(record.attended))},
          {"share_bf16", if_ours(share_bf16(record.attended))},
          {"share_skipped", if_ours(share_skipped(record.attended))},
          {"calls", if_ours(record.attended.calls)},
          {"calls_not_causal", if_ours(record.attended.calls_not_causal)},
          {"linear", ours ? std::string(name_of(record.attention.plan->linear())) : "ggml"},
          {"linear_s", if_ours(static_cast<double>(record.attended.linear_ns) * 1e-9)},
          {"linear_calls", if_ours(record.attended.linear_calls)},
          {"linear_share_bf16", if_ours(linear_share_bf16(record.attended))},
          {"kv_bytes", record.kv_bytes}};
}

std::string to_text(const RunRecord& record) {
  std::string text;
  const auto line = [&](const char* name, const std::string& value) {
    text += fmt::format("  {:<11} {}\n", name, value);
  };
  const auto total_s = record.prefill_s + record.decode_s,
             attention_s = static_cast<double>(record.attended.attention_ns) * 1e-9,
             selection_s = static_cast<double>(record.attended.selection_ns) * 1e-9;
  const auto percent = [&](double part) { return total_s > 0 ? 100 * part / total_s : 0; };
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
    line("in attention", fmt::format("{:.2f} s, {:.1f} % of the time; selection {:.1f} %", attention_s,
                                     percent(attention_s), percent(selection_s)));
    line("pairs", fmt::format("{} of {} dense: density {}; prefill {}, decode {}", record.attended.pairs_visited,
                              record.attended.pairs_dense, density_text(density(record.attended)),
                              density_text(density(record.prefilled)),
                              density_text(density_after(record.prefilled, record.attended))));
    if (const std::string selected = selection_text(record.attended); !selected.empty()) line("selected", selected);
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
