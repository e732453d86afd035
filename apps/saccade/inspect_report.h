#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "apps/saccade/engine.h"
#include "apps/saccade/inspect_gaze.h"
#include "apps/saccade/record.h"
#include "saccade/judge/massive.h"

namespace saccade::app {

/// The words of a run: what every token says.
struct InspectedText {
  std::string file, question, answer;
  std::vector<std::string> pieces;    ///< bytes of each token of prompt and answer; maybe parts of characters
  std::vector<Pos> control;           ///< positions of tokens that are marks, not text
  std::vector<std::string> answered;  ///< bytes of each token of the answer
};

/// The words of these tokens and of an answer, `n_decoded` of whose tokens were read.
InspectedText inspected_text(const Model& model, const Tokens& tokens, std::vector<std::string> answered,
                             std::int64_t n_decoded);

/// Gives each character to the token in which it begins, so that every piece is UTF-8; a token that only goes on with a
/// character of an earlier one gets "". What is no UTF-8 becomes U+FFFD.
std::vector<std::string> whole_characters(const std::vector<std::string>& pieces);

/// sixteen heads, spread over layers and heads; all of them where there are no more.
std::vector<HeadName> spread_heads(int n_layers, int n_heads, int n_chosen = 16);

/// The report's document, which the page shows and `--json` prints; docs/cli.md lists its keys.
///
/// Requires  a gaze that has seen the whole run: record.n_prompt and record.n_decoded tokens
/// Cost      for N tokens: deflates about 24 L N + (L + C) R N bytes, some seconds at N = 30,000
nlohmann::ordered_json inspect_report(const Gaze& gaze, const RunRecord& record, const InspectedText& text);

/// Massive activations by where they are, a position and a dimension: the largest value and the layers. The largest
/// first, at most 20.
nlohmann::ordered_json massive_report(std::span<const judge::MassiveActivation> found);

/// Some lines for stderr: heads by class, sinks, massive activations.
std::string summary(const nlohmann::ordered_json& report);

/// The report as one HTML page that needs nothing else.
std::string inspect_page(const nlohmann::ordered_json& report);

/// Writes it to a file. Errors: Fault::kMachine, as OutputFile.
void write_page(const nlohmann::ordered_json& report, const std::string& path);

}  // namespace saccade::app
