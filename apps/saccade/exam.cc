#include "apps/saccade/exam.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "apps/saccade/prompt.h"
#include "saccade/base/error.h"

namespace saccade::app {
namespace {

constexpr std::int64_t kLeastText = 1000;  ///< tokens: in less, every needle is beside every other

void append(Tokens& to, const Tokens& from) { to.insert(to.end(), from.begin(), from.end()); }

/// Where a text must end to have `n` of its tokens; on a whole character.
std::size_t bytes_of(const Model& model, const std::string& text, std::span<const Token> tokens, std::size_t n) {
  std::size_t bytes = 0;
  for (const Token token : tokens.first(std::min(n, tokens.size()))) bytes += model.piece(token).size();
  bytes = std::min(bytes, text.size());
  while (bytes > 0 && bytes < text.size() && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  return bytes;
}

/// Which tokens hold some of the bytes [begin, begin + size) of the text that they are.
Range tokens_with(const Model& model, std::span<const Token> tokens, std::size_t begin, std::size_t size) {
  Range found{static_cast<Pos>(tokens.size()), 0};
  std::size_t at = 0;
  for (Pos i = 0; i < static_cast<Pos>(tokens.size()); ++i) {
    const std::size_t end = at + model.piece(tokens[static_cast<std::size_t>(i)]).size();
    if (at < begin + size && end > begin) found = {std::min(found.begin, i), i + 1};
    at = end;
  }
  return found;
}

/// Where the needles came to lie in the text's tokens, `before` of which come before the text.
void locate(const Model& model, const std::string& planted, const Tokens& tokens, Pos before, Exam& exam) {
  for (const auto& needle : exam.needles) {
    const std::string sentence = needle.sentence();
    const std::size_t at = planted.find(sentence);
    const std::size_t secret = at + sentence.find(needle.secret);
    for (const auto& [begin, size, to] :
         {std::tuple{at, sentence.size(), &exam.sentences}, std::tuple{secret, needle.secret.size(), &exam.secrets}}) {
      const Range range = tokens_with(model, tokens, begin, size);
      to->push_back({before + range.begin, before + range.end});
    }
  }
}

/// Plants the needles into as much of the text as fits into `room` tokens with them.
void plant(const Model& model, const std::string& text, std::int64_t room, std::int64_t n_planted, Exam& exam) {
  const Tokens bare = model.tokenize(text, false);
  const auto given = static_cast<std::int64_t>(bare.size());
  auto n_text = std::min(given, room - n_planted);
  if (n_text < kLeastText)
    fail_user(fmt::format(
        "too little text: {} tokens of it, {} with needles, question and answer fit; at least {} are needed", given,
        std::max<std::int64_t>(0, room - n_planted), kLeastText));
  for (;;) {
    const auto haystack =
        judge::plant(text.substr(0, bytes_of(model, text, bare, static_cast<std::size_t>(n_text))), exam.needles);
    const Tokens tokens = model.tokenize(haystack.text, false);
    // Words beside a needle may be cut into tokens otherwise than before, which can cost a few tokens more.
    const auto excess = static_cast<std::int64_t>(tokens.size()) - room;
    if (excess <= 0) {
      if (n_text < given)
        std::fprintf(stderr, "saccade: the text is cut to its first %lld of %lld tokens\n",
                     static_cast<long long>(n_text), static_cast<long long>(given));
      exam.depths = haystack.depths;
      locate(model, haystack.text, tokens, static_cast<Pos>(exam.text.size()), exam);
      append(exam.text, tokens);
      return;
    }
    n_text -= excess;
  }
}

}  // namespace

std::int64_t Exam::longest_question() const {
  return static_cast<std::int64_t>(std::ranges::max(questions, {}, &Tokens::size).size());
}

Exam make_exam(const Model& model, const std::string& text, std::size_t n_needles, std::int64_t n_ctx_most, bool raw) {
  Exam exam{.needles = judge::make_needles(n_needles)};
  std::int64_t n_planted = 0;
  for (const auto& needle : exam.needles) {
    // The answer begins with the cue: a model of 0.5B that must find words of its own first answers one in six.
    Tokens question = make_prompt(model, "", needle.question, raw).after;
    if (raw) append(question, model.tokenize("\n\n", false));
    append(question, model.tokenize(needle.cue, false));
    exam.questions.push_back(std::move(question));
    n_planted += static_cast<std::int64_t>(model.tokenize(" " + needle.sentence(), false).size());
  }
  exam.text = make_prompt(model, "", "", raw).before;
  exam.text_begin = static_cast<Pos>(exam.text.size());
  plant(model, text, n_ctx_most - exam.n_most(), n_planted, exam);
  return exam;
}

void ask(Context& context, std::span<const Token> question) {
  while (!question.empty()) {
    const auto n = std::min(question.size(), static_cast<std::size_t>(context.n_ubatch()));
    context.decode(question.first(n));
    question = question.subspan(n);
  }
}

Rewind::Rewind(Context& context, const Model& model) : context_(context), n_text_(context.n_past()) {
  // A sliding window or a recurrent memory forgets, so what it held is kept.
  const bool forgets =
      llama_model_n_swa(model.get()) > 0 || llama_model_is_recurrent(model.get()) || llama_model_is_hybrid(model.get());
  if (forgets) state_ = context.state();
}

void Rewind::operator()() {
  const bool back = state_.empty() ? context_.keep(n_text_) : context_.set_state(state_, n_text_);
  if (!back) fail_machine("llama.cpp cannot go back to the end of the text with this model");
}

}  // namespace saccade::app
