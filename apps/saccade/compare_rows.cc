#include "apps/saccade/compare_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace saccade::app {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

ordered_json or_null(const std::optional<double>& value) {
  return value ? ordered_json(*value) : ordered_json(nullptr);
}

/// "1.23" or "-".
std::string cell(const std::optional<double>& value, const char* format = "{:.2f}") {
  return value ? fmt::format(fmt::runtime(format), *value) : "-";
}

/// [[layer, head, density, mass, output_error], ...]
ordered_json to_json(const std::vector<HeadFidelity>& heads) {
  auto array = ordered_json::array();
  for (const auto& head : heads)
    array.push_back(ordered_json::array({head.layer, head.head, head.density, head.mass, head.output_error}));
  return array;
}

std::vector<HeadFidelity> heads_from_json(const json& array) {
  const auto number = [](const json& value) {
    return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
  };
  std::vector<HeadFidelity> heads;
  for (const auto& head : array)
    heads.push_back({.layer = head.at(0).get<int>(),
                     .head = head.at(1).get<int>(),
                     .density = number(head.at(2)),
                     .mass = number(head.at(3)),
                     .output_error = number(head.at(4))});
  return heads;
}

/// The summary under `prefix`mass_mean and so on; null without heads.
void add_summary(ordered_json& json, const std::string& prefix, const std::vector<HeadFidelity>& heads) {
  const auto mass = summary_of(heads);
  json[prefix + "mass_mean"] = mass ? ordered_json(mass->mean) : ordered_json(nullptr);
  json[prefix + "mass_worst"] = mass ? ordered_json(mass->worst) : ordered_json(nullptr);
  json[prefix + "mass_worst_at"] = mass ? ordered_json(mass->worst_at) : ordered_json(nullptr);
  json[prefix + "output_error"] = mass ? ordered_json(mass->output_error) : ordered_json(nullptr);
}

}  // namespace

std::optional<MassSummary> summary_of(const std::vector<HeadFidelity>& heads) {
  if (heads.empty()) return std::nullopt;
  MassSummary summary;
  const HeadFidelity* worst = &heads.front();
  for (const HeadFidelity& head : heads) {
    summary.mean += head.mass / static_cast<double>(heads.size());
    summary.output_error += head.output_error / static_cast<double>(heads.size());
    if (head.mass < worst->mass) worst = &head;
  }
  summary.worst = worst->mass;
  summary.worst_at = fmt::format("{}.{}", worst->layer, worst->head);
  return summary;
}

ordered_json to_json(const CompareRow& row) {
  ordered_json json = {{"attn", row.attn},
                       {"n_prompt", row.n_prompt},
                       {"prefill_s", row.prefill_s},
                       {"prefill_tok_per_s", row.prefill_tok_per_s},
                       {"attention_s", or_null(row.attention_s)},
                       {"selection_s", or_null(row.selection_s)},
                       {"linear_s", or_null(row.linear_s)},
                       {"decode_tok_per_s", row.decode_tok_per_s},
                       {"decode_attention_s", or_null(row.decode_attention_s)},
                       {"decode_density", or_null(row.decode_density)},
                       {"density", or_null(row.density)},
                       {"skipped", or_null(row.skipped)},
                       {"kv_bytes", row.kv_bytes},
                       {"ppl", row.fidelity.ppl},
                       {"kl_mean", row.fidelity.kl_mean},
                       {"kl_p99", row.fidelity.kl_p99},
                       {"top1_agreement", row.fidelity.top1_agreement}};
  add_summary(json, "", row.heads);
  add_summary(json, "decode_", row.decode_heads);
  if (!row.heads.empty()) json["heads"] = to_json(row.heads);
  if (!row.decode_heads.empty()) json["decode_heads"] = to_json(row.decode_heads);
  return json;
}

std::optional<CompareRow> row_from_json(const json& from) try {
  // A NaN is written as null.
  const auto number = [&](const char* key) {
    return from.at(key).is_null() ? std::numeric_limits<double>::quiet_NaN() : from.at(key).get<double>();
  };
  const auto maybe = [&](const char* key) {
    return from.at(key).is_null() ? std::nullopt : std::optional(from.at(key).get<double>());
  };
  const auto heads = [&](const char* key) {
    return from.contains(key) ? heads_from_json(from[key]) : std::vector<HeadFidelity>{};
  };
  return CompareRow{.attn = from.at("attn").get<std::string>(),
                    .n_prompt = from.at("n_prompt").get<std::int64_t>(),
                    .prefill_s = number("prefill_s"),
                    .prefill_tok_per_s = number("prefill_tok_per_s"),
                    .attention_s = maybe("attention_s"),
                    .selection_s = maybe("selection_s"),
                    .linear_s = maybe("linear_s"),
                    .decode_tok_per_s = number("decode_tok_per_s"),
                    .decode_attention_s = maybe("decode_attention_s"),
                    .decode_density = maybe("decode_density"),
                    .density = maybe("density"),
                    .skipped = maybe("skipped"),
                    .kv_bytes = from.at("kv_bytes").get<std::uint64_t>(),
                    .fidelity = {.ppl = number("ppl"),
                                 .kl_mean = number("kl_mean"),
                                 .kl_p99 = number("kl_p99"),
                                 .top1_agreement = number("top1_agreement")},
                    .heads = heads("heads"),
                    .decode_heads = heads("decode_heads")};
} catch (const json::exception&) {
  return std::nullopt;
}

std::string table_of(const std::vector<CompareRow>& rows) {
  std::size_t width = 4;
  for (const auto& row : rows) width = std::max(width, row.attn.size());
  std::string text = fmt::format(
      "{:<{}} {:>9} {:>8} {:>8} {:>11} {:>8} {:>8} {:>12} {:>8} {:>7} {:>7} {:>7} {:>6} {:>9} {:>8} {:>8} {:>9} {:>9} "
      "{:>7}\n",
      "attn", width, "prefill s", "tokens/s", "speed-up", "attention s", "select s", "linear s", "decode tok/s",
      "density", "skipped", "mass", "worst", "at", "o error", "KV MiB", "ppl", "KL mean", "KL p99", "top-1");
  for (const auto& row : rows) {
    const auto mass = summary_of(row.heads);
    const auto of_mass = [&](double MassSummary::*what, const char* format) {
      return cell(mass ? std::optional((*mass).*what) : std::nullopt, format);
    };
    text += fmt::format(
        "{:<{}} {:>9.2f} {:>8.1f} {:>7.2f}x {:>11} {:>8} {:>8} {:>12.1f} {:>8} {:>7} {:>7} {:>7} {:>6} {:>9} {:>8.1f} "
        "{:>8.3f} "
        "{:>9.2e} {:>9.2e} {:>7.4f}\n",
        row.attn, width, row.prefill_s, row.prefill_tok_per_s, rows.front().prefill_s / row.prefill_s,
        cell(row.attention_s), cell(row.selection_s), cell(row.linear_s), row.decode_tok_per_s,
        cell(row.density, "{:.4f}"), cell(row.skipped, "{:.4f}"), of_mass(&MassSummary::mean, "{:.4f}"),
        of_mass(&MassSummary::worst, "{:.4f}"), mass ? mass->worst_at : "-",
        of_mass(&MassSummary::output_error, "{:.2e}"), static_cast<double>(row.kv_bytes) / (1 << 20), row.fidelity.ppl,
        row.fidelity.kl_mean, row.fidelity.kl_p99, row.fidelity.top1_agreement);
  }
  return text;
}

}  // namespace saccade::app
