#include "plugins/llama/judge.h"

#include <atomic>
#include <chrono>

namespace saccade::llama {
namespace {

std::atomic<Judge*>& the_judge() {
  static std::atomic<Judge*> judge = nullptr;
  return judge;
}

}  // namespace

void set_judge(Judge* judge) { the_judge() = judge; }

Judge* judge_now() { return the_judge(); }

std::int64_t show_to_judge(const JudgedCall& judged) {
  Judge* const judge = judge_now();
  if (judge == nullptr) return 0;
  const auto start = std::chrono::steady_clock::now();
  judge->look(judged);
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace saccade::llama
