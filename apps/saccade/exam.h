#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "apps/saccade/engine.h"
#include "saccade/judge/multineedle.h"

namespace saccade::app {

constexpr std::int64_t kAnswer = 24;  ///< tokens, at most

/// Needles in a text: it is read once, and each question is asked after it.
struct Exam {
  std::vector<judge::Needle> needles;
  std::vector<double> depths;
  Tokens text;                    ///< what comes before it, and the text with its needles
  std::vector<Tokens> questions;  ///< each with what comes after it, and with the beginning of the answer
  Pos text_begin = 0;             ///< where the text itself begins in `text`
  std::vector<Range> sentences;   ///< positions of the needles in `text` ...
  std::vector<Range> secrets;     ///< ... and of their secrets

  std::int64_t longest_question() const;
  /// Tokens of all of it: the text, a question, its answer.
  std::int64_t n_most() const { return static_cast<std::int64_t>(text.size()) + longest_question() + kAnswer; }
};

/// Plants n needles into as much of the text as fits into n_ctx_most tokens together with a question and its answer.
/// One line on stderr says when the text was cut. `raw`: no chat template.
/// Errors: Fault::kUser when text or context are too small, or the model has no chat template.
Exam make_exam(const Model& model, const std::string& text, std::size_t n_needles, std::int64_t n_ctx_most, bool raw);

/// Decodes the question's tokens, batch by batch; the last one's logits begin the answer.
void ask(Context& context, std::span<const Token> question);

/// Goes back to the end of the text after each question.
class Rewind {
 public:
  explicit Rewind(Context& context, const Model& model);
  /// Errors: Fault::kMachine when llama.cpp cannot.
  void operator()();

 private:
  Context& context_;
  int n_text_;
  std::vector<std::uint8_t> state_;
};

}  // namespace saccade::app
