#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/saccade/attention.h"
#include "apps/saccade/engine.h"
#include "apps/saccade/eval_rows.h"
#include "apps/saccade/options.h"
#include "apps/saccade/resume_file.h"

namespace saccade::app {

/// What a task of `saccade eval` is handed.
struct EvalInput {
  const Model& model;
  const EvalOptions& options;
  const std::string& text;
  const std::vector<Attention>& attentions;
  ResumeFile& resume;
};

/// Reads the text once for each attention and then asks for each of 20 planted facts on the same keys and values.
/// Errors    Fault::kUser, one line, when text or context are too small, or the model has no chat template
std::vector<NeedleRow> eval_multineedle(const EvalInput& input);

/// The perplexity of the text's second half under each attention, each half read in one prefill.
/// Errors    Fault::kUser, one line, when text or context are too small
std::vector<PplRow> eval_ppl(const EvalInput& input);

/// The loss on each document of a file under each attention. A plan that masks retrieval heads beside one that does not
/// gives AttentionInfluence scores (judge::influence).
/// Errors    Fault::kUser, one line, when a document is no document or has no two tokens
std::vector<InfluenceRow> eval_influence(const EvalInput& input);

/// Rows of which the finished ones come from --resume, and the others from `measure`, which are then kept there.
template <class Row, class FromJson, class Measure>
std::vector<Row> finished_rows(const EvalInput& input, FromJson from_json, Measure measure) {
  std::vector<Row> rows;
  for (const auto& attention : input.attentions) {
    const auto kept = input.resume.find(attention);
    std::optional<Row> row = kept ? from_json(*kept) : std::nullopt;
    if (!row) {
      row = measure(attention);
      input.resume.add(attention, to_json(*row));
    }
    row->attn = attention.typed;
    rows.push_back(std::move(*row));
  }
  return rows;
}

}  // namespace saccade::app
