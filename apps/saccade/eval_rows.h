#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "apps/saccade/attention.h"
#include "plugins/llama/backend.h"
#include "saccade/judge/multineedle.h"

namespace saccade::app {

/// The rows of `saccade eval`; the JSON keys have these names (docs/cli.md).

/// What reading the text cost.
struct ReadingCost {
  std::int64_t n_prompt = 0;
  double prefill_s = 0, prefill_tok_per_s = 0;
  std::optional<double> attention_s, selection_s;  ///< null for llama.cpp's own attention, which is not timed
  std::optional<double> density;
};
ReadingCost reading_cost(const Attention& attention, const llama::Record& record, std::int64_t n_prompt,
                         double prefill_s);

/// One needle and what was said about it.
struct NeedleAnswer {
  double depth = 0;  ///< share of the text before the needle
  judge::Needle needle;
  std::string answer;
  bool right = false;
};

struct NeedleRow {
  std::string attn;
  ReadingCost cost;
  double decode_tok_per_s = 0;
  std::vector<NeedleAnswer> answers;  ///< by depth, ascending

  std::int64_t score() const;
};

struct PplRow {
  std::string attn;
  ReadingCost cost;
  std::int64_t n_scored = 0;  ///< positions
  double ppl = 0;
};

struct DocumentLoss {
  std::string id;
  std::int64_t n_tokens = 0;
  double loss = 0;  ///< nats a token
};

struct InfluenceRow {
  std::string attn;
  std::vector<DocumentLoss> documents;

  double mean_loss() const;
  /// Of a document, against the same of the base row (judge::influence).
  double influence(const InfluenceRow& base, std::size_t document) const;
};

nlohmann::ordered_json to_json(const NeedleRow& row);
nlohmann::ordered_json to_json(const PplRow& row);
nlohmann::ordered_json to_json(const InfluenceRow& row);
/// Nothing when a key is missing or of another type.
std::optional<NeedleRow> needle_row_from_json(const nlohmann::json& json);
std::optional<PplRow> ppl_row_from_json(const nlohmann::json& json);
std::optional<InfluenceRow> influence_row_from_json(const nlohmann::json& json);

/// For people: a depth grid, # found and . missed, and what each row cost; requires rows with as many answers each.
std::string table_of(const std::vector<NeedleRow>& rows);
/// For people: the ratio is to the first row.
std::string table_of(const std::vector<PplRow>& rows);
/// For people: documents by the influence of the last row on them, the largest first.
std::string table_of(const std::vector<InfluenceRow>& rows);

}  // namespace saccade::app
