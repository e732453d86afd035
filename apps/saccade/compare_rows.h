#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "saccade/judge/fidelity.h"

namespace saccade::app {

/// How well one query head of one layer is served by what was selected for it, over its sampled query rows.
struct HeadFidelity {
  int layer = 0, head = 0;
  double density = 0;       ///< pairs visited / pairs that the model's own mask allows
  double mass = 0;          ///< share of dense attention's weight that lies on the visited keys, mean over rows
  double output_error = 0;  ///< ||o - o_dense|| / ||o_dense||, over rows and head_dim together
};

/// All heads together, each as much as the next.
struct MassSummary {
  double mean = 0, worst = 0;
  std::string worst_at;     ///< "layer.head"
  double output_error = 0;  ///< mean over heads
};
/// Nothing when there are no heads.
std::optional<MassSummary> summary_of(const std::vector<HeadFidelity>& heads);

/// One row of `saccade compare`; the JSON keys have these names.
struct CompareRow {
  std::string attn;
  std::int64_t n_prompt = 0;
  double prefill_s = 0, prefill_tok_per_s = 0;
  std::optional<double> attention_s, selection_s;  ///< null for llama.cpp's own attention, which is not timed
  std::optional<double> linear_s;                  ///< in linear layers of ours; null beside llama.cpp's own attention
  double decode_tok_per_s = 0;
  std::optional<double> decode_attention_s, decode_density;  ///< of the tokens after the prompt; null as above
  std::optional<double> density;
  std::optional<double> skipped;  ///< of the visited pairs, those taken by runs
  std::uint64_t kv_bytes = 0;
  judge::Fidelity fidelity;
  /// Of the prompt, and of the tokens after it; empty where nothing was measured per head, and then not in the JSON.
  std::vector<HeadFidelity> heads, decode_heads;
};

nlohmann::ordered_json to_json(const CompareRow& row);
/// Nothing when a key is missing or of another type.
std::optional<CompareRow> row_from_json(const nlohmann::json& json);
/// For people: speed-up is against the first row.
std::string table_of(const std::vector<CompareRow>& rows);

}  // namespace saccade::app
