#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "apps/saccade/attention.h"
#include "apps/saccade/context_options.h"
#include "apps/saccade/engine.h"
#include "apps/saccade/options.h"
#include "apps/saccade/output.h"
#include "apps/saccade/progress.h"
#include "apps/saccade/prompt.h"
#include "apps/saccade/reading.h"
#include "apps/saccade/record.h"
#include "apps/saccade/session_file.h"
#include "apps/saccade/text_file.h"
#include "saccade/base/error.h"

namespace saccade::app {
namespace {

void say(const std::string& line) { std::fprintf(stderr, "saccade: %s\n", line.c_str()); }

/// Puts what session and prompt have in common into the context. The last token is always computed: its logits are the
/// answer's beginning.
void reuse(Context& context, const SavedSession& session, const Tokens& tokens, const std::string& path) {
  const auto most = std::min(session.tokens.size(), tokens.size() - 1);
  const auto common = static_cast<std::size_t>(
      std::ranges::mismatch(session.tokens.begin(), session.tokens.begin() + static_cast<std::ptrdiff_t>(most),
                            tokens.begin(), tokens.end())
          .in1 -
      session.tokens.begin());
  if (common == 0)
    return say(fmt::format("session {}: it begins with another text; the prompt is computed anew", path));
  if (session.tokens.size() > static_cast<std::size_t>(context.n_ctx()) ||
      !context.set_state(session.state, static_cast<int>(session.tokens.size())))
    return say(fmt::format("session {}: its {} tokens do not fit this context; the prompt is computed anew", path,
                           session.tokens.size()));
  if (!context.keep(static_cast<int>(common)))
    say(fmt::format(
        "session {}: only its first {} tokens agree, and this model's sliding window forgot what they need; "
        "the prompt is computed anew",
        path, common));
}

std::int64_t context_size(const RunOptions& options, const ModelFacts& facts, const Prompt& prompt,
                          const std::optional<SavedSession>& session) {
  const auto needed = static_cast<std::int64_t>(prompt.size()) + options.n_tokens;
  if (options.given_ctx) return options.n_ctx;
  const auto most = std::max(most_context(options, facts), needed);
  const auto held = session ? static_cast<std::int64_t>(session->tokens.size()) + 1 : 0;
  return std::min(most, round_ctx(std::max(needed, std::min<std::int64_t>(held, most))));
}

}  // namespace

void run_command(const RunOptions& options) {
  check(options);
  const std::string text = read_text(options.text);
  check_utf8("the question", options.question);
  Attention attention = options.given_plan ? attention_from_plan(options.plan) : attention_from_spec(options.attn);
  if (options.given_precision) attention = in_precision(std::move(attention), options.precision);
  if (options.given_linear) attention = with_linear(std::move(attention), options.linear);
  if (!options.session.empty()) check_writable(options.session);
  ModelFacts facts = read_model_file(options.model);
  check(attention, facts);
  check(options, facts);
  std::optional<SavedSession> session;
  const SessionKey key = session_key(facts, attention, options.yarn);
  if (!options.session.empty()) session = load_session(options.session, key);

  const Model model(options.model, std::move(facts), options.verbose, attention);
  Prompt prompt = make_prompt(model, text, options.question, options.raw);
  fit(prompt, options.n_tokens, options.given_ctx ? options.n_ctx : most_context(options, model.facts()),
      options.truncate);
  if (prompt.text.size() < prompt.n_text_given)
    say(fmt::format("the text is cut to its first {} of {} tokens", prompt.text.size(), prompt.n_text_given));
  const Tokens tokens = prompt.joined();

  const ContextOptions made_with = context_options(options, {&attention, 1}, static_cast<std::int64_t>(tokens.size()),
                                                   context_size(options, model.facts(), prompt, session));
  Context context(model, attention, made_with);
  RunRecord record{.model = options.model, .stop = "", .attention = attention};
  record.n_prompt = static_cast<std::int64_t>(tokens.size());
  record.n_text_given = static_cast<std::int64_t>(prompt.n_text_given);
  record.n_text_used = static_cast<std::int64_t>(prompt.text.size());
  record.n_ctx = context.n_ctx();
  record.n_threads = made_with.n_threads;
  record.n_ubatch = context.n_ubatch();
  record.yarn = made_with.yarn;
  if (session) reuse(context, *session, tokens, options.session);
  record.n_reused = context.n_past();

  llama::reset_record();
  {
    // A session ends with the text, not with the question: the next question then begins where this one did, which
    // even a sliding window allows.
    const auto n_shared = std::min(prompt.n_shared(), tokens.size() - 1);
    const Tokens shared(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(n_shared));
    Progress progress("reading", record.n_prompt);
    Timer timer;
    prefill(context, tokens, n_shared, progress);
    record.prefill_s = timer.seconds();
    if (!options.session.empty() && (!session || session->tokens != shared))
      save_session(options.session, key, {shared, context.state()});
    timer = Timer();
    prefill(context, tokens, tokens.size(), progress);
    record.prefill_s += timer.seconds();
    record.prefilled = llama::record();
  }
  const std::string said = answer(context, model, options.n_tokens, record, [&](const std::string& piece) {
    if (!options.json) print(piece);
  });
  record.attended = llama::record();
  record.kv_bytes = context.kv_bytes();
  if (!options.json) {
    print("\n");
    std::fputs(to_text(record).c_str(), stderr);
    return;
  }
  auto json = to_json(record);
  json["answer"] = said;
  print(json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

}  // namespace saccade::app
