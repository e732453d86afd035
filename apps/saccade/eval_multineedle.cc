#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "apps/saccade/context_options.h"
#include "apps/saccade/eval_task.h"
#include "apps/saccade/progress.h"
#include "apps/saccade/prompt.h"
#include "apps/saccade/record.h"
#include "apps/saccade/rows.h"
#include "saccade/base/error.h"
#include "saccade/judge/fidelity.h"
#include "saccade/judge/multineedle.h"
#include "saccade/plan/quote.h"

namespace saccade::app {
namespace {

constexpr std::size_t kNeedles = 20;
constexpr std::int64_t kAnswer = 24;       ///< tokens
constexpr std::int64_t kLeastText = 1000;  ///< tokens: in less, every needle is beside every other

/// What all rows share: the text is read once, every question is asked after it.
struct Exam {
  std::vector<judge::Needle> needles;
  std::vector<double> depths;
  Tokens text;                    ///< what comes before it, and the text with its needles
  std::vector<Tokens> questions;  ///< each with what comes after it
};

void append(Tokens& to, const Tokens& from) { to.insert(to.end(), from.begin(), from.end()); }

std::size_t longest(const std::vector<Tokens>& lists) { return std::ranges::max(lists, {}, &Tokens::size).size(); }

/// Where a text must end to have `n` of its tokens; on a whole character.
std::size_t bytes_of(const Model& model, const std::string& text, std::span<const Token> tokens, std::size_t n) {
  std::size_t bytes = 0;
  for (const Token token : tokens.first(std::min(n, tokens.size()))) bytes += model.piece(token).size();
  bytes = std::min(bytes, text.size());
  while (bytes > 0 && bytes < text.size() && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  return bytes;
}

/// Plants the needles into as much of the text as fits into `room` tokens with them.
Tokens plant(const Model& model, const std::string& text, std::int64_t room, std::int64_t n_planted, Exam& exam) {
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
    Tokens tokens = model.tokenize(haystack.text, false);
    exam.depths = haystack.depths;
    // Words beside a needle may be cut into tokens otherwise than before, which can cost a few tokens more.
    const auto excess = static_cast<std::int64_t>(tokens.size()) - room;
    if (excess <= 0) {
      if (n_text < given)
        std::fprintf(stderr, "saccade: the text is cut to its first %lld of %lld tokens\n",
                     static_cast<long long>(n_text), static_cast<long long>(given));
      return tokens;
    }
    n_text -= excess;
  }
}

Exam make_exam(const Model& model, const EvalOptions& options, const std::string& text) {
  Exam exam{.needles = judge::make_needles(kNeedles)};
  std::int64_t n_planted = 0;
  for (const auto& needle : exam.needles) {
    // The answer begins with the cue: a model of 0.5B that must find words of its own first answers one in six.
    Tokens question = make_prompt(model, "", needle.question, options.raw).after;
    if (options.raw) append(question, model.tokenize("\n\n", false));
    append(question, model.tokenize(needle.cue, false));
    exam.questions.push_back(std::move(question));
    n_planted += static_cast<std::int64_t>(model.tokenize(" " + needle.sentence(), false).size());
  }
  exam.text = make_prompt(model, "", "", options.raw).before;
  const std::int64_t most = options.given_ctx ? options.n_ctx : most_context(options, model.facts());
  const auto around = static_cast<std::int64_t>(exam.text.size() + longest(exam.questions)) + kAnswer;
  const Tokens planted = plant(model, text, most - around, n_planted, exam);
  append(exam.text, planted);
  return exam;
}

/// Goes back to the end of the text after each question.
class Rewind {
 public:
  explicit Rewind(Context& context, const Model& model) : context_(context), n_text_(context.n_past()) {
    // A sliding window or a recurrent memory forgets, so what it held is kept.
    const bool forgets = llama_model_n_swa(model.get()) > 0 || llama_model_is_recurrent(model.get()) ||
                         llama_model_is_hybrid(model.get());
    if (forgets) state_ = context.state();
  }
  void operator()() {
    const bool back = state_.empty() ? context_.keep(n_text_) : context_.set_state(state_, n_text_);
    if (!back) fail_machine("llama.cpp cannot go back to the end of the text with this model");
  }

 private:
  Context& context_;
  int n_text_;
  std::vector<std::uint8_t> state_;
};

void ask(Context& context, std::span<const Token> question) {
  while (!question.empty()) {
    const auto n = std::min(question.size(), static_cast<std::size_t>(context.n_ubatch()));
    context.decode(question.first(n));
    question = question.subspan(n);
  }
}

/// Decodes greedily; counts the tokens fed back and their seconds.
std::string answer(Context& context, const Model& model, std::int64_t& n_decoded, double& seconds) {
  std::string text;
  auto next = static_cast<Token>(judge::top1(context.logits(-1)));
  const Stopwatch watch;
  for (std::int64_t i = 0; i < kAnswer && !model.ends(next); ++i) {
    text += model.piece(next);
    context.decode({&next, 1});
    ++n_decoded;
    next = static_cast<Token>(judge::top1(context.logits(0)));
  }
  seconds += watch.seconds();
  return one_line(text, 200);
}

NeedleRow measure(const Model& model, const Attention& attention, const Exam& exam, const ContextOptions& options) {
  Context context(model, attention, options);
  context.warm_up(exam.text);
  llama::reset_record();
  const auto seconds = prefill(context, exam.text, {}, attention.typed, nullptr);
  NeedleRow row{.attn = attention.typed};
  row.cost = reading_cost(attention, llama::record(), static_cast<std::int64_t>(exam.text.size()), seconds);
  Rewind rewind(context, model);
  Progress progress(attention.typed + ": asking", kNeedles, "questions");
  std::int64_t n_decoded = 0;
  double decode_s = 0;
  for (std::size_t i = 0; i < exam.needles.size(); ++i) {
    if (i > 0) rewind();
    ask(context, exam.questions[i]);
    const auto& needle = exam.needles[i];
    const auto said = answer(context, model, n_decoded, decode_s);
    row.answers.push_back(
        {.depth = exam.depths[i], .needle = needle, .answer = said, .right = judge::holds_word(said, needle.secret)});
    progress.at(static_cast<std::int64_t>(i + 1));
  }
  row.decode_tok_per_s = per_second(n_decoded, decode_s);
  warn_not_causal(attention);
  return row;
}

}  // namespace

std::vector<NeedleRow> eval_multineedle(const EvalInput& input) {
  const Exam exam = make_exam(input.model, input.options, input.text);
  const auto n_most = static_cast<std::int64_t>(exam.text.size() + longest(exam.questions)) + kAnswer;
  const auto options = context_of(input.model, input.options, input.attentions, n_most);
  Tokens all = exam.text;
  for (const auto& question : exam.questions) append(all, question);
  input.resume.begin(comparison_name(input.model.facts(), all, options, "multineedle"));
  return finished_rows<NeedleRow>(input, needle_row_from_json, [&](const Attention& attention) {
    return measure(input.model, attention, exam, options);
  });
}

}  // namespace saccade::app
