#include "plugins/llama/watcher.h"

#include <utility>

#include "plugins/llama/judge.h"

namespace saccade::llama {
namespace {

class WatchingJudge final : public Judge {
 public:
  bool wants_lse() const override { return true; }
  bool wants_windows() const override { return true; }
  void look(const JudgedCall& judged) override { watcher(judged.layer, judged.call, judged.call.lse, judged.team); }
  Watcher watcher;
};

}  // namespace

void set_watcher(Watcher watcher) {
  static WatchingJudge judge;
  judge.watcher = std::move(watcher);
  set_judge(judge.watcher ? &judge : nullptr);
}

}  // namespace saccade::llama
