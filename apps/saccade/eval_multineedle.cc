#include "apps/saccade/context_options.h"
#include "apps/saccade/eval_task.h"
#include "apps/saccade/exam.h"
#include "apps/saccade/progress.h"
#include "apps/saccade/record.h"
#include "apps/saccade/rows.h"
#include "saccade/judge/fidelity.h"
#include "saccade/judge/multineedle.h"
#include "saccade/plan/quote.h"

namespace saccade::app {
namespace {

constexpr std::size_t kNeedles = 20;

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
  const std::int64_t most =
      input.options.given_ctx ? input.options.n_ctx : most_context(input.options, input.model.facts());
  const Exam exam = make_exam(input.model, input.text, kNeedles, most, input.options.raw);
  const auto options = context_of(input.model, input.options, input.attentions, exam.n_most());
  Tokens all = exam.text;
  for (const auto& question : exam.questions) all.insert(all.end(), question.begin(), question.end());
  input.resume.begin(comparison_name(input.model.facts(), all, options, "multineedle"));
  return finished_rows<NeedleRow>(input, needle_row_from_json, [&](const Attention& attention) {
    return measure(input.model, attention, exam, options);
  });
}

}  // namespace saccade::app
