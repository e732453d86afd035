#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "apps/saccade/attention.h"
#include "apps/saccade/context_options.h"
#include "apps/saccade/engine.h"
#include "apps/saccade/inspect_gaze.h"
#include "apps/saccade/inspect_options.h"
#include "apps/saccade/inspect_prove.h"
#include "apps/saccade/inspect_report.h"
#include "apps/saccade/output.h"
#include "apps/saccade/progress.h"
#include "apps/saccade/prompt.h"
#include "apps/saccade/reading.h"
#include "apps/saccade/text_file.h"
#include "plugins/llama/watcher.h"
#include "saccade/base/error.h"
#include "saccade/judge/massive.h"

namespace saccade::app {
namespace {

constexpr Pos kMostAnswerRows = 32;  // some 150 KB each at 30,000 tokens of a model of 24 layers

GazeShape gaze_shape(const InspectOptions& options, const ModelFacts& model, const Prompt& prompt) {
  GazeShape shape{.n_layers = model.n_layers, .n_heads = model.n_heads};
  shape.n_prompt = static_cast<Pos>(prompt.size());
  shape.n_most = shape.n_prompt + options.n_tokens;
  const auto text_begin = static_cast<Pos>(prompt.before.size());
  shape.text = {text_begin, text_begin + static_cast<Pos>(prompt.text.size())};
  shape.question = {shape.text.end, shape.n_prompt};
  shape.chosen = parse_heads(options.heads, model);
  shape.rows = parse_positions(options.tokens, shape.n_prompt);
  // The answer's first token is chosen by the prompt's last one.
  if (!shape.rows.empty() && shape.rows.back() == shape.n_prompt - 1) shape.rows.pop_back();
  for (Pos i = 0; i < std::min(options.n_tokens, kMostAnswerRows); ++i) shape.rows.push_back(shape.n_prompt - 1 + i);
  return shape;
}

/// Nobody watches any more when this is gone.
struct Watch {
  explicit Watch(Gaze& gaze) {
    llama::set_watcher([&gaze](int layer, const AttendCall& call, const float* lse, Team& team) {
      gaze.look(layer, call, lse, team);
    });
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch() { llama::set_watcher({}); }
};

}  // namespace

void inspect_command(const InspectOptions& options) {
  if (!options.prove.empty()) return prove_command(options);
  check(options);
  const std::string text = read_text(options.text);
  check_utf8("the question", options.question);
  const Attention attention = attention_of(options);
  if (!options.output.empty()) check_writable(options.output);
  ModelFacts facts = read_model_file(options.model);
  check(attention, facts);
  check(options, facts);
  parse_heads(options.heads, facts);  // a mistake in it need not wait for the model

  const Model model(options.model, std::move(facts), options.verbose, attention);
  Prompt prompt = make_prompt(model, text, options.question, options.raw);
  // Of a longer text the first tokens, as the record says.
  fit(prompt, options.n_tokens, options.given_ctx ? options.n_ctx : most_context(options, model.facts()), true);
  const Tokens tokens = prompt.joined();
  Gaze gaze(gaze_shape(options, model.facts(), prompt));

  const auto needed = static_cast<std::int64_t>(tokens.size()) + options.n_tokens;
  const auto most = std::max(most_context(options, model.facts()), needed);
  ContextOptions made_with = context_options(options, {&attention, 1}, static_cast<std::int64_t>(tokens.size()),
                                             options.given_ctx ? options.n_ctx : std::min(most, round_ctx(needed)));
  std::vector<judge::MassiveActivation> massive;
  made_with.see_hidden = [&massive](int layer, Pos first, std::span<const float> rows, Pos n_tokens) {
    const auto found = judge::massive_activations(rows, n_tokens, layer, first);
    massive.insert(massive.end(), found.begin(), found.end());
  };
  Context context(model, attention, made_with);
  RunRecord record{.model = options.model, .stop = "", .attention = attention};
  record.n_prompt = static_cast<std::int64_t>(tokens.size());
  record.n_text_given = static_cast<std::int64_t>(prompt.n_text_given);
  record.n_text_used = static_cast<std::int64_t>(prompt.text.size());
  record.n_ctx = context.n_ctx();
  record.n_threads = made_with.n_threads;
  record.n_ubatch = context.n_ubatch();
  record.yarn = made_with.yarn;

  const Watch watch(gaze);
  llama::reset_record();
  {
    // Cut into batches as `run` cuts it, so that the answer is the same to the letter.
    Progress progress("reading and looking", record.n_prompt);
    const Timer timer;
    prefill(context, tokens, std::min(prompt.n_shared(), tokens.size() - 1), progress);
    prefill(context, tokens, tokens.size(), progress);
    record.prefill_s = timer.seconds();
    record.prefilled = llama::record();
  }
  std::vector<std::string> answered;
  answer(context, model, options.n_tokens, record, [&](const std::string& piece) {
    answered.push_back(piece);
    if (!options.json) print(piece);
  });
  record.attended = llama::record();
  record.kv_bytes = context.kv_bytes();

  // The last token of an answer is never read.
  InspectedText words = inspected_text(model, tokens, answered, record.n_decoded);
  words.file = options.text, words.question = options.question;
  auto report = inspect_report(gaze, record, words);
  report["massive"] = massive_report(massive);
  if (!options.output.empty()) write_page(report, options.output);
  if (options.json) return print(report.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  print("\n");
  std::fputs((summary(report) + to_text(record)).c_str(), stderr);
}

}  // namespace saccade::app
