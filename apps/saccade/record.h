#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "apps/saccade/attention.h"
#include "plugins/llama/backend.h"

namespace saccade::app {

/// The fidelity record: what a run did, what it cost, and how much of attention it left out.
struct RunRecord {
  std::string model, stop;  ///< stop: "end" (the model ended its answer), "length"
  Attention attention;
  std::int64_t n_prompt = 0, n_reused = 0, n_generated = 0, n_decoded = 0, n_text_given = 0, n_text_used = 0, n_ctx = 0,
               n_threads = 0, n_ubatch = 0;
  // n_decoded: tokens fed back; the first token of an answer is the prefill's.
  double yarn = 1, prefill_s = 0, decode_s = 0;
  std::uint64_t kv_bytes = 0;
  llama::Record attended;   ///< prefill and decode together; meaningless when the attention is not ours
  llama::Record prefilled;  ///< of that, the prefill
};

/// Null when nothing was counted.
std::optional<double> density(const llama::Record& record);
/// Of what `all` has more than `before`.
std::optional<double> density_after(const llama::Record& before, const llama::Record& all);
/// The shares of visited pairs that ran in 16-bit fixed point and in bf16; the others ran in f32.
double share_i16(const llama::Record& record);
double share_bf16(const llama::Record& record);
/// And of those that were taken by runs (skip_softmax), in whatever numbers.
double share_skipped(const llama::Record& record);
/// Of the operations of linear layers of ours, those in bf16 tiles; the others ran in 16-bit fixed point.
double linear_share_bf16(const llama::Record& record);
/// 0 when no time was taken.
double per_second(std::int64_t n, double seconds);

/// The keys are documented in docs/cli.md.
nlohmann::ordered_json to_json(const RunRecord& record);
/// Some lines for stderr.
std::string to_text(const RunRecord& record);

}  // namespace saccade::app
