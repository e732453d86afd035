#include "apps/saccade/prompt.h"

#include <fmt/format.h>

#include "saccade/base/error.h"

namespace saccade::app {
namespace {

void append(Tokens& to, const Tokens& from) { to.insert(to.end(), from.begin(), from.end()); }

}  // namespace

Tokens Prompt::joined() const {
  Tokens tokens = before;
  append(tokens, text);
  append(tokens, after);
  return tokens;
}

Prompt make_prompt(const Model& model, const std::string& text, const std::string& question, bool raw) {
  const ChatFrame frame = raw ? ChatFrame{} : model.chat_frame();
  Prompt prompt;
  const Tokens bos = model.begin(), before = model.tokenize(frame.before, true);
  // Some templates write the first token themselves.
  if (before.empty() || bos.empty() || before.front() != bos.front()) prompt.before = bos;
  append(prompt.before, before);
  prompt.text = model.tokenize(text, false);
  prompt.n_text_given = prompt.text.size();
  if (!question.empty()) prompt.after = model.tokenize("\n\n" + question, false);
  append(prompt.after, model.tokenize(frame.after, true));
  return prompt;
}

void fit(Prompt& prompt, std::int64_t n_tokens, std::int64_t n_ctx_most, bool truncate) {
  const auto frame = static_cast<std::int64_t>(prompt.size() - prompt.text.size());
  const auto room = n_ctx_most - n_tokens - frame, given = static_cast<std::int64_t>(prompt.text.size());
  if (given <= room) return;
  if (room < 1)
    fail_user(fmt::format(
        "no room for a text: the context of {} tokens is used up by {} for the answer and {} for the question",
        n_ctx_most, n_tokens, frame));
  if (!truncate)
    fail_user(fmt::format(
        "the text has {} tokens and only {} fit (context {}, answer {}, question {}); --truncate takes the first {}",
        given, room, n_ctx_most, n_tokens, frame, room));
  prompt.text.resize(static_cast<std::size_t>(room));
}

}  // namespace saccade::app
