#pragma once

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "apps/saccade/attention.h"
#include "apps/saccade/engine.h"
#include "apps/saccade/options.h"
#include "saccade/base/view.h"

namespace saccade::app {

/// What `compare` and `eval` share: several attentions, one a row, on the same tokens.

/// Wall time since it was made.
class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// The rows that were asked for: --attn, then --plan; `ggml` and `dense` when there are none.
/// Errors: Fault::kUser, one line that names the spec or the file.
std::vector<Attention> attentions_of(const RowOptions& options);

/// Errors: Fault::kUser when -c is more than the model knows, or a plan is not of this model.
void check(const RowOptions& options, const std::vector<Attention>& attentions, const ModelFacts& model);

/// The beginning of the text as it stands, without a chat template, as much as the context holds beside `n_reserved`
/// tokens. One line on stderr says when it was cut.
/// Errors: Fault::kUser when fewer than `n_least` tokens are left.
Tokens tokens_of(const Model& model, const RowOptions& options, const std::string& text, std::int64_t n_reserved,
                 std::int64_t n_least);

/// The context that rows of `n_tokens` tokens run in, which are at most what the model knows: the same for all, with
/// batches that suit each of them.
ContextOptions context_of(const Model& model, const RowOptions& options, const std::vector<Attention>& attentions,
                          std::int64_t n_tokens);

/// Called with which of the wanted positions it is (counted from 0), and its logits.
using SeeLogits = std::function<void(std::size_t, std::span<const float>)>;

/// Appends the tokens to the context, with logits at the wanted positions (of these tokens, ascending) and at the last
/// one; `see` is called outside the clock. Memory: the logits of one batch at a time.
/// Returns seconds.
double prefill(Context& context, std::span<const Token> tokens, std::span<const Pos> wanted, const std::string& name,
               const SeeLogits& see);

/// A name for all that rows must have in common to stand in one table: model, tokens, context and its stretch, threads,
/// batches, llama.cpp, and what the command adds as `more`.
std::string comparison_name(const ModelFacts& model, std::span<const Token> tokens, const ContextOptions& context,
                            const std::string& more);

/// One line on stderr when calls of ours ran dense whatever was asked.
void warn_not_causal(const Attention& attention);

/// Rows as JSON for -o and --json: an array, or one row a line.
std::string json_of(const std::vector<nlohmann::ordered_json>& rows, bool lines);

}  // namespace saccade::app
