#include "apps/saccade/report_page.h"

#include <fmt/format.h>
#include <llama.h>

#include <algorithm>
#include <filesystem>

#include "apps/saccade/engine.h"
#include "apps/saccade/machine.h"
#include "saccade/report/axis.h"
#include "saccade/report/depth_grid.h"
#include "saccade/report/mass_panels.h"
#include "saccade/report/page.h"
#include "saccade/report/table.h"
#include "saccade/report/trade_chart.h"

namespace saccade::app {
namespace {

using report::Better;
using report::Cell;
using report::Column;
using report::number;
using report::Page;

Cell cell(const std::string& text) { return {text, std::nullopt}; }
Cell cell(double value, const char* format) { return {fmt::format(fmt::runtime(format), value), value}; }
Cell cell(const std::optional<double>& value, const char* format) {
  return value ? cell(*value, format) : cell(std::string("-"));
}

std::string file_name(const std::string& path) { return std::filesystem::path(path).filename().string(); }

template <class Row>
nlohmann::ordered_json json_array(const std::vector<Row>& rows) {
  auto array = nlohmann::ordered_json::array();
  for (const auto& row : rows) array.push_back(to_json(row));
  return array;
}

Page page_of(const std::string& title, const std::string& lead, const ModelOptions& options, std::int64_t n_prompt) {
  Page page{.title = title, .lead = lead, .facts = {}, .sections = {}, .data = {}};
  const auto n_threads = options.given_threads ? options.n_threads : default_threads();
  page.facts = {{"model", file_name(options.model)},
                {"text", file_name(options.text)},
                {"prompt", fmt::format("{} tokens", n_prompt)},
                {"machine", fmt::format("{}, {} thread{}", cpu_name(), n_threads, n_threads == 1 ? "" : "s")},
                {"saccade", built_from()},
                {"llama.cpp", llama_version()}};
  return page;
}

std::string trade_chart_of(const std::vector<CompareRow>& rows, const std::vector<bool>& skips) {
  report::TradeChart chart{.error_name = "KL divergence of the next token from the first row's, mean (natural log)",
                           .gain_name = "prefill speed-up over the first row",
                           .points = {},
                           .limits = {}};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto& row = rows[i];
    const double gain = rows.front().prefill_s / row.prefill_s;
    const auto hint = fmt::format(
        "{}\n{}x as fast: {:.2f} s for {} tokens\nKL {} on average, {} at the 99th percentile\n"
        "same next token as the first row: {:.1f} %\nperplexity {:.3f}, density {}",
        row.attn, number(gain), row.prefill_s, row.n_prompt, number(row.fidelity.kl_mean), number(row.fidelity.kl_p99),
        100 * row.fidelity.top1_agreement, row.fidelity.ppl, row.density ? number(*row.density) : "-");
    (skips[i] ? chart.limits : chart.points)
        .push_back({.name = row.attn, .error = row.fidelity.kl_mean, .gain = gain, .hint = hint});
  }
  return report::trade_chart(chart);
}

std::string mass_panels_of(const std::vector<CompareRow>& rows, std::vector<HeadFidelity> CompareRow::*heads) {
  std::vector<report::MassPanel> panels;
  for (const auto& row : rows) {
    if ((row.*heads).empty()) continue;
    panels.push_back({.name = row.attn, .dots = {}});
    for (const auto& head : row.*heads)
      panels.back().dots.push_back(
          {.layer = head.layer,
           .head = head.head,
           .density = head.density,
           .mass = head.mass,
           .hint = fmt::format("layer {}, head {}\nmass {}, density {}\noutput error {}", head.layer, head.head,
                               number(head.mass), number(head.density), number(head.output_error))});
  }
  return panels.empty() ? "" : report::mass_panels(panels);
}

/// Rows that skip attention have no numbers to be best with.
std::string table_markup(const std::vector<CompareRow>& rows, const std::vector<bool>& skips) {
  const std::vector<Column> columns{{"attention"},
                                    {"speed-up", Better::kMore},
                                    {"prefill s", Better::kLess},
                                    {"attention s", Better::kLess},
                                    {"selection s"},
                                    {"linear s"},
                                    {"decode tok/s", Better::kMore},
                                    {"density"},
                                    {"mass"},
                                    {"worst head"},
                                    {"output error"},
                                    {"ppl"},
                                    {"KL mean"},
                                    {"KL p99"},
                                    {"top-1"},
                                    {"KV MiB"}};
  std::vector<std::vector<Cell>> cells;
  for (const auto& row : rows) {
    const auto mass = summary_of(row.heads);
    const auto of_mass = [&](double MassSummary::*what) {
      return cell(mass ? std::optional((*mass).*what) : std::nullopt, "{:.3f}");
    };
    cells.push_back({cell(row.attn), cell(rows.front().prefill_s / row.prefill_s, "{:.2f}x"),
                     cell(row.prefill_s, "{:.2f}"), cell(row.attention_s, "{:.2f}"), cell(row.selection_s, "{:.2f}"),
                     cell(row.linear_s, "{:.2f}"), cell(row.decode_tok_per_s, "{:.1f}"), cell(row.density, "{:.3f}"),
                     of_mass(&MassSummary::mean), of_mass(&MassSummary::worst), of_mass(&MassSummary::output_error),
                     cell(row.fidelity.ppl, "{:.3f}"), cell(row.fidelity.kl_mean, "{:.2e}"),
                     cell(row.fidelity.kl_p99, "{:.2e}"), cell(row.fidelity.top1_agreement, "{:.4f}"),
                     cell(static_cast<double>(row.kv_bytes) / (1 << 20), "{:.1f}")});
  }
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (skips[i])
      for (Cell& one : cells[i]) one.value.reset();
  return report::table(columns, cells);
}

std::vector<Cell> cost_cells(const ReadingCost& cost) {
  return {cell(cost.prefill_s, "{:.2f}"), cell(cost.prefill_tok_per_s, "{:.1f}"), cell(cost.attention_s, "{:.2f}"),
          cell(cost.selection_s, "{:.2f}"), cell(cost.density, "{:.3f}")};
}

/// Names of their own, then what reading cost.
std::vector<Column> with_cost(std::vector<Column> columns) {
  for (const auto& column : {Column{"prefill s", Better::kLess}, Column{"tokens/s", Better::kMore},
                             Column{"attention s", Better::kLess}, Column{"selection s"}, Column{"density"}})
    columns.push_back(column);
  return columns;
}

std::string depth_grid_of(const std::vector<NeedleRow>& rows) {
  std::vector<std::string> heads;
  for (const auto& one : rows.front().answers) heads.push_back(fmt::format("{:.0f}", 100 * one.depth));
  std::vector<report::GridRow> grid;
  for (const auto& row : rows) {
    grid.push_back({.name = row.attn, .cells = {}});
    for (const auto& one : row.answers)
      grid.back().cells.push_back({.yes = one.right,
                                   .hint = fmt::format("{}\n{}\nsaid: {}\nright: {}", row.attn, one.needle.question,
                                                       one.answer, one.needle.secret)});
  }
  return report::depth_grid(heads, "depth of the needle in the text, %", grid);
}

}  // namespace

std::string html_of(const std::vector<CompareRow>& rows, const std::vector<bool>& skips, const ModelOptions& options) {
  Page page =
      page_of("Attention compared: speed and fidelity",
              fmt::format("{} attentions read the same text with the same model. How much faster is each, and how "
                          "far does it move the model's next words?",
                          rows.size()),
              options, rows.front().n_prompt);
  page.sections.push_back(
      {"Speed-up against divergence",
       "Each point is one attention. Filled points and the line are the best to be had: nothing else is "
       "both faster and closer to the first row. Hollow points are beaten by one of them.",
       trade_chart_of(rows, skips)});
  const std::string how =
      " Each mark is one head of one layer, over sampled queries. Mass is the share of dense attention's "
      "weight that the visited keys hold; density is the share of pairs that were computed.";
  if (auto panels = mass_panels_of(rows, &CompareRow::heads); !panels.empty())
    page.sections.push_back({"Recovered mass against density: the prompt", how, panels});
  if (auto panels = mass_panels_of(rows, &CompareRow::decode_heads); !panels.empty())
    page.sections.push_back({"Recovered mass against density: the tokens after the prompt", how, panels});
  page.sections.push_back(
      {"All rows", "Bold is the best of a column. Click a head to sort.", table_markup(rows, skips)});
  page.data = json_array(rows);
  return report::html_of(page);
}

std::string html_of(const std::vector<NeedleRow>& rows, const ModelOptions& options) {
  Page page =
      page_of("Needles in one text",
              fmt::format("{} facts were planted at {} depths. The text was read once; then each fact was asked for "
                          "on the same keys and values.",
                          rows.front().answers.size(), rows.front().answers.size()),
              options, rows.front().cost.n_prompt);
  page.sections.push_back(
      {"What was found, by depth",
       "A filled square with a tick: the answer holds the secret. An empty one with a cross: it does not. "
       "Where dense attention fails, too, the task is too hard for the model.",
       depth_grid_of(rows)});
  std::vector<std::vector<Cell>> cells;
  for (const auto& row : rows) {
    cells.push_back(
        {cell(row.attn), {fmt::format("{}/{}", row.score(), row.answers.size()), static_cast<double>(row.score())}});
    std::ranges::copy(cost_cells(row.cost), std::back_inserter(cells.back()));
    cells.back().push_back(cell(row.decode_tok_per_s, "{:.1f}"));
  }
  auto columns = with_cost({{"attention"}, {"found", Better::kMore}});
  columns.push_back({"decode tok/s", Better::kMore});
  page.sections.push_back(
      {"All rows", "Bold is the best of a column. Click a head to sort.", report::table(columns, cells)});
  page.data = json_array(rows);
  return report::html_of(page);
}

std::string html_of(const std::vector<PplRow>& rows, const ModelOptions& options) {
  Page page =
      page_of("Perplexity of the text's second half",
              fmt::format("How well the model predicts {} tokens, each with at least half of the text before it.",
                          rows.front().n_scored),
              options, rows.front().cost.n_prompt);
  std::vector<std::vector<Cell>> cells;
  for (const auto& row : rows) {
    cells.push_back({cell(row.attn), cell(row.ppl, "{:.4f}"), cell(row.ppl / rows.front().ppl, "{:.5f}")});
    std::ranges::copy(cost_cells(row.cost), std::back_inserter(cells.back()));
  }
  page.sections.push_back(
      {"All rows", "The ratio is to the first row. Bold is the best of a column. Click a head to sort.",
       report::table(with_cost({{"attention"}, {"ppl", Better::kLess}, {"ratio", Better::kLess}}), cells)});
  page.data = json_array(rows);
  return report::html_of(page);
}

}  // namespace saccade::app
