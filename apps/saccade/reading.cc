#include "apps/saccade/reading.h"

#include <algorithm>

#include "saccade/judge/fidelity.h"

namespace saccade::app {

void prefill(Context& context, const Tokens& tokens, std::size_t end, Progress& progress) {
  while (static_cast<std::size_t>(context.n_past()) < end) {
    const auto at = static_cast<std::size_t>(context.n_past());
    const auto n = std::min(end - at, static_cast<std::size_t>(context.n_ubatch()));
    context.decode(std::span(tokens).subspan(at, n));
    progress.at(context.n_past());
  }
}

std::string answer(Context& context, const Model& model, std::int64_t n_tokens, RunRecord& record,
                   const std::function<void(const std::string& piece)>& say) {
  std::string text;
  const Timer timer;
  auto next = static_cast<Token>(judge::top1(context.logits(-1)));
  record.stop = "length";
  while (record.n_generated < n_tokens) {
    if (model.ends(next)) {
      record.stop = "end";
      break;
    }
    const std::string piece = model.piece(next);
    text += piece;
    say(piece);
    ++record.n_generated;
    // The token after the last one asked for is not needed.
    if (record.n_generated == n_tokens) break;
    context.decode({&next, 1});
    ++record.n_decoded;
    next = static_cast<Token>(judge::top1(context.logits(0)));
  }
  record.decode_s = timer.seconds();
  return text;
}

}  // namespace saccade::app
