#pragma once

#include <string>

#include "apps/saccade/engine.h"

namespace saccade::app {

/// A prompt in three pieces, each cut into tokens by itself: what comes before the text, the text, and the question
/// with what comes after it. So the same text gives the same tokens whatever is asked, and a text can be shortened by
/// tokens. Control tokens count in the template only: a text cannot end the user's turn.
struct Prompt {
  Tokens before, text, after;
  std::size_t n_text_given = 0;  ///< tokens of the text before it was shortened

  std::size_t size() const { return before.size() + text.size() + after.size(); }
  /// What the next question on this text shares.
  std::size_t n_shared() const { return before.size() + text.size(); }
  Tokens joined() const;
};

/// `raw`: no chat template. Errors: Fault::kUser when the model has no usable one.
Prompt make_prompt(const Model& model, const std::string& text, const std::string& question, bool raw);

/// Makes prompt and answer fit into `n_ctx_most` tokens: shortens the text if `truncate`, else refuses.
/// Errors: Fault::kUser, one line that says how many tokens of the text fit.
void fit(Prompt& prompt, std::int64_t n_tokens, std::int64_t n_ctx_most, bool truncate);

}  // namespace saccade::app
