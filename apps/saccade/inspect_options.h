#pragma once

#include <string>
#include <vector>

#include "apps/saccade/attention.h"
#include "apps/saccade/inspect_gaze.h"
#include "apps/saccade/model_file.h"
#include "apps/saccade/options.h"

namespace saccade::app {

struct InspectOptions : RunOptions {
  InspectOptions() { n_tokens = 64; }
  std::string output, heads, tokens;
  std::string prove;              ///< empty: nothing; "retrieval"
  std::string steer = "uniform";  ///< how heads are masked
  std::int64_t n_needles = 10, n_masked = 10;
};

/// Errors: Fault::kUser, one line.
void check(const InspectOptions& options);

/// Which attention runs. Errors: Fault::kUser, one line; llama.cpp's own cannot be watched.
Attention attention_of(const InspectOptions& options);

/// "3.7,12.0": at most 16 heads, each once; empty: spread_heads. Errors: Fault::kUser, one line: how it is written, or
/// which layer or head the model does not have.
std::vector<HeadName> parse_heads(const std::string& list, const ModelFacts& model);

/// "5,100-120": at most 64 positions of a prompt of n_prompt tokens, ascending, both ends of "-" in.
/// Errors: Fault::kUser, one line.
std::vector<Pos> parse_positions(const std::string& list, Pos n_prompt);

void inspect_command(const InspectOptions& options);

}  // namespace saccade::app
