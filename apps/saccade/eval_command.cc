#include <fmt/format.h>

#include <memory>

#include "apps/saccade/eval_rows.h"
#include "apps/saccade/eval_task.h"
#include "apps/saccade/options.h"
#include "apps/saccade/output.h"
#include "apps/saccade/report_page.h"
#include "apps/saccade/rows.h"
#include "apps/saccade/text_file.h"

namespace saccade::app {
namespace {

/// What is printed or written of a task's rows.
struct Result {
  std::vector<nlohmann::ordered_json> rows;
  std::string table, page;
};

Result result_of(const std::vector<NeedleRow>& rows, const EvalOptions& options) {
  Result result{.rows = {}, .table = table_of(rows), .page = html_of(rows, options)};
  for (const auto& row : rows) result.rows.push_back(to_json(row));
  return result;
}

Result result_of(const std::vector<PplRow>& rows, const EvalOptions& options) {
  Result result{.rows = {}, .table = table_of(rows), .page = html_of(rows, options)};
  for (const auto& row : rows) {
    result.rows.push_back(to_json(row));
    result.rows.back()["ppl_ratio"] = row.ppl / rows.front().ppl;
  }
  return result;
}

Result result_of(const std::vector<InfluenceRow>& rows) {
  Result result{.rows = {}, .table = table_of(rows), .page = ""};
  for (const auto& row : rows) {
    result.rows.push_back(to_json(row));
    for (std::size_t i = 0; i < row.documents.size(); ++i)
      result.rows.back()["documents"][i]["influence"] = row.influence(rows.front(), i);
  }
  return result;
}

Result result_of_task(const EvalInput& input) {
  const EvalOptions& options = input.options;
  if (options.task == "influence") return result_of(eval_influence(input));
  return options.task == "ppl" ? result_of(eval_ppl(input), options) : result_of(eval_multineedle(input), options);
}

}  // namespace

void eval_command(const EvalOptions& options) {
  check(options);
  const std::string text = read_text(options.text);
  const auto attentions = attentions_of(options);
  std::unique_ptr<OutputFile> output;
  if (!options.output.empty()) output = std::make_unique<OutputFile>(options.output);
  ResumeFile resume(options.resume);
  ModelFacts facts = read_model_file(options.model);
  check(options, attentions, facts);
  const Model model(options.model, std::move(facts), options.verbose, attentions.front());
  const Result result = result_of_task({model, options, text, attentions, resume});
  if (output) {
    output->write(options.output.ends_with(".html") ? result.page
                                                    : json_of(result.rows, options.output.ends_with(".jsonl")));
    output->commit();
  }
  print(options.json ? json_of(result.rows, false) : result.table);
}

}  // namespace saccade::app
