#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "apps/saccade/engine.h"
#include "apps/saccade/progress.h"
#include "apps/saccade/record.h"

namespace saccade::app {

class Timer {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Decodes tokens [context.n_past(), end), as many at once as the context takes.
void prefill(Context& context, const Tokens& tokens, std::size_t end, Progress& progress);

/// Decodes greedily from the last logits on, until the model ends its answer or n_tokens are there; hands each token's
/// text to `say` as it comes. Fills the record's stop, n_generated, n_decoded and decode_s. Returns the whole text.
std::string answer(Context& context, const Model& model, std::int64_t n_tokens, RunRecord& record,
                   const std::function<void(const std::string& piece)>& say);

}  // namespace saccade::app
