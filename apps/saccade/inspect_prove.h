#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/saccade/inspect_options.h"
#include "saccade/judge/ablation.h"
#include "saccade/judge/multineedle.h"

namespace saccade::app {

/// What became of a needle with all heads, without the top retrieval heads, and without as many others.
struct ProvenNeedle {
  double depth = 0;
  Range sentence;  ///< its tokens in the text
  judge::Needle needle;
  std::string answer, answer_top, answer_random;
  bool found = false, found_top = false, found_random = false;
};

struct ProvenHead {
  judge::HeadPlace place;
  double score = 0;       ///< mean retrieval score over the needles that were found
  int n_most_looked = 0;  ///< needles that were the span it looked at most as the answer's first token was chosen
};

/// Keys as in docs/cli.md.
struct Proof {
  std::string model, attn, edit;
  std::int64_t n_prompt = 0;
  std::size_t shown = 0;  ///< the needle whose question and answer the report shows
  std::vector<ProvenNeedle> needles;
  std::vector<ProvenHead> top;
  std::vector<judge::HeadPlace> random;
  int n_retrieval_heads = 0;  ///< of the score from which on a head is called one
  int n_heads = 0;
  double prefill_s = 0, questions_s = 0;
};

nlohmann::ordered_json to_json(const Proof& proof);
std::string to_text(const Proof& proof);

/// `saccade inspect --prove retrieval`: plants needles, reads the text once, asks for each needle with all heads, with
/// the top retrieval heads masked and with as many random others masked, all on the same keys and values
/// (docs/decisions/0016-masked-heads.md), and prints how many were found. A report, where one is asked for, shows that
/// and what the model looked at as it read the text and answered one of the questions, with all heads.
/// Errors    Fault::kUser, one line: a model without enough heads, a text too short, a model that finds nothing
/// Cost      one prefill, and three questions a needle; for a report as Gaze
void prove_command(const InspectOptions& options);

}  // namespace saccade::app
