#include "apps/saccade/eval_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "apps/saccade/record.h"
#include "saccade/judge/ablation.h"

namespace saccade::app {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

ordered_json or_null(const std::optional<double>& value) {
  return value ? ordered_json(*value) : ordered_json(nullptr);
}

std::optional<double> maybe(const json& from, const char* key) {
  return from.at(key).is_null() ? std::nullopt : std::optional(from.at(key).get<double>());
}

void put(ordered_json& to, const ReadingCost& cost) {
  to["n_prompt"] = cost.n_prompt;
  to["prefill_s"] = cost.prefill_s;
  to["prefill_tok_per_s"] = cost.prefill_tok_per_s;
  to["attention_s"] = or_null(cost.attention_s);
  to["selection_s"] = or_null(cost.selection_s);
  to["density"] = or_null(cost.density);
}

ReadingCost cost_from_json(const json& from) {
  return {.n_prompt = from.at("n_prompt").get<std::int64_t>(),
          .prefill_s = from.at("prefill_s").get<double>(),
          .prefill_tok_per_s = from.at("prefill_tok_per_s").get<double>(),
          .attention_s = maybe(from, "attention_s"),
          .selection_s = maybe(from, "selection_s"),
          .density = maybe(from, "density")};
}

NeedleAnswer answer_from_json(const json& from) {
  return {.depth = from.at("depth").get<double>(),
          .needle = {.cue = from.at("cue").get<std::string>(),
                     .secret = from.at("secret").get<std::string>(),
                     .question = from.at("question").get<std::string>()},
          .answer = from.at("answer").get<std::string>(),
          .right = from.at("right").get<bool>()};
}

/// "1.23" or "-".
std::string cell(const std::optional<double>& value, const char* format = "{:.2f}") {
  return value ? fmt::format(fmt::runtime(format), *value) : "-";
}

template <class Row>
std::size_t name_width(const std::vector<Row>& rows) {
  std::size_t width = 4;
  for (const auto& row : rows) width = std::max(width, row.attn.size());
  return width;
}

std::string cost_head() {
  return fmt::format("{:>9} {:>8} {:>11} {:>11} {:>8}", "prefill s", "tokens/s", "attention s", "selection s",
                     "density");
}

std::string cost_cells(const ReadingCost& cost) {
  return fmt::format("{:>9.2f} {:>8.1f} {:>11} {:>11} {:>8}", cost.prefill_s, cost.prefill_tok_per_s,
                     cell(cost.attention_s), cell(cost.selection_s), cell(cost.density, "{:.4f}"));
}

}  // namespace

ReadingCost reading_cost(const Attention& attention, const llama::Record& record, std::int64_t n_prompt,
                         double prefill_s) {
  ReadingCost cost{.n_prompt = n_prompt, .prefill_s = prefill_s, .prefill_tok_per_s = per_second(n_prompt, prefill_s)};
  cost.density = attention.ours() ? density(record) : std::optional(1.0);
  if (attention.ours()) cost.attention_s = static_cast<double>(record.attention_ns) * 1e-9;
  if (attention.ours()) cost.selection_s = static_cast<double>(record.selection_ns) * 1e-9;
  return cost;
}

std::int64_t NeedleRow::score() const { return std::ranges::count_if(answers, &NeedleAnswer::right); }

ordered_json to_json(const NeedleRow& row) {
  ordered_json json = {{"attn", row.attn}, {"score", row.score()}, {"n_needles", row.answers.size()}};
  put(json, row.cost);
  json["decode_tok_per_s"] = row.decode_tok_per_s;
  json["answers"] = ordered_json::array();
  for (const auto& one : row.answers)
    json["answers"].push_back({{"depth", one.depth},
                               {"question", one.needle.question},
                               {"cue", one.needle.cue},
                               {"secret", one.needle.secret},
                               {"answer", one.answer},
                               {"right", one.right}});
  return json;
}

ordered_json to_json(const PplRow& row) {
  ordered_json json = {{"attn", row.attn}, {"ppl", row.ppl}, {"n_scored", row.n_scored}};
  put(json, row.cost);
  return json;
}

double InfluenceRow::mean_loss() const {
  double sum = 0;
  for (const auto& document : documents) sum += document.loss;
  return documents.empty() ? 0 : sum / static_cast<double>(documents.size());
}

double InfluenceRow::influence(const InfluenceRow& base, std::size_t document) const {
  return judge::influence(base.documents[document].loss, documents[document].loss);
}

ordered_json to_json(const InfluenceRow& row) {
  ordered_json json = {{"attn", row.attn}, {"loss", row.mean_loss()}, {"documents", ordered_json::array()}};
  for (const auto& one : row.documents)
    json["documents"].push_back({{"id", one.id}, {"n_tokens", one.n_tokens}, {"loss", one.loss}});
  return json;
}

std::optional<InfluenceRow> influence_row_from_json(const json& from) try {
  InfluenceRow row{.attn = from.at("attn").get<std::string>(), .documents = {}};
  for (const auto& one : from.at("documents"))
    row.documents.push_back({.id = one.at("id").get<std::string>(),
                             .n_tokens = one.at("n_tokens").get<std::int64_t>(),
                             .loss = maybe(one, "loss").value_or(std::numeric_limits<double>::quiet_NaN())});
  return row;
} catch (const json::exception&) {
  return std::nullopt;
}

std::optional<NeedleRow> needle_row_from_json(const json& from) try {
  NeedleRow row{.attn = from.at("attn").get<std::string>(),
                .cost = cost_from_json(from),
                .decode_tok_per_s = from.at("decode_tok_per_s").get<double>()};
  for (const auto& one : from.at("answers")) row.answers.push_back(answer_from_json(one));
  return row;
} catch (const json::exception&) {
  return std::nullopt;
}

std::optional<PplRow> ppl_row_from_json(const json& from) try {
  // A NaN is written as null.
  return PplRow{.attn = from.at("attn").get<std::string>(),
                .cost = cost_from_json(from),
                .n_scored = from.at("n_scored").get<std::int64_t>(),
                .ppl = maybe(from, "ppl").value_or(std::numeric_limits<double>::quiet_NaN())};
} catch (const json::exception&) {
  return std::nullopt;
}

std::string table_of(const std::vector<NeedleRow>& rows) {
  if (rows.empty()) return "";
  const auto width = name_width(rows);
  const auto& answers = rows.front().answers;
  std::string depths = fmt::format("{:.0f}%", 100 * answers.front().depth),
              last = fmt::format("{:.0f}%", 100 * answers.back().depth);
  const auto gap = answers.size() - std::min(answers.size(), depths.size() + last.size());
  std::string text = fmt::format("{:<{}} {:>6} {} {:>12}  {}{:>{}}\n", "attn", width, "score", cost_head(),
                                 "decode tok/s", depths, last, gap + last.size());
  for (const auto& row : rows) {
    std::string grid;
    for (const auto& one : row.answers) grid += one.right ? '#' : '.';
    text += fmt::format("{:<{}} {:>6} {} {:>12.1f}  {}\n", row.attn, width,
                        fmt::format("{}/{}", row.score(), row.answers.size()), cost_cells(row.cost),
                        row.decode_tok_per_s, grid);
  }
  return text + "Needles by depth: # found, . missed.\n";
}

std::string table_of(const std::vector<PplRow>& rows) {
  const auto width = name_width(rows);
  std::string text = fmt::format("{:<{}} {:>9} {:>8} {}\n", "attn", width, "ppl", "ratio", cost_head());
  for (const auto& row : rows)
    text += fmt::format("{:<{}} {:>9.4f} {:>8.5f} {}\n", row.attn, width, row.ppl, row.ppl / rows.front().ppl,
                        cost_cells(row.cost));
  return text;
}

std::string table_of(const std::vector<InfluenceRow>& rows) {
  const auto width = name_width(rows);
  const InfluenceRow& base = rows.front();
  std::string text = fmt::format("{:<{}} {:>8} {:>10}\n", "attn", width, "loss", "influence");
  for (const auto& row : rows)
    text += fmt::format("{:<{}} {:>8.4f} {:>10.4f}\n", row.attn, width, row.mean_loss(),
                        judge::influence(base.mean_loss(), row.mean_loss()));
  if (rows.size() < 2) return text;
  std::vector<std::size_t> order(base.documents.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    return rows.back().influence(base, a) > rows.back().influence(base, b);
  });
  text +=
      fmt::format("\n{:<24} {:>8} {:>8} {:>10}  of {}\n", "document", "tokens", "loss", "influence", rows.back().attn);
  for (const std::size_t i : order)
    text += fmt::format("{:<24} {:>8} {:>8.4f} {:>10.4f}\n", base.documents[i].id, base.documents[i].n_tokens,
                        base.documents[i].loss, rows.back().influence(base, i));
  return text;
}

}  // namespace saccade::app
