#include <thread>

#include "capi/handles.h"
#include "capi/structs.h"

namespace saccade::capi {
namespace {

/// Beyond it a number is a mistake, and starting that many threads would hurt the machine.
constexpr std::int64_t kMostThreads = 4096;

int threads_of(const saccade_engine_options& options) {
  if (options.n_threads == 0) return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  if (options.n_threads > 0 && options.n_threads <= kMostThreads) return static_cast<int>(options.n_threads);
  fail_user("engine: n_threads must be in [0, " + std::to_string(kMostThreads) + "], got " +
            std::to_string(options.n_threads));
}

}  // namespace
}  // namespace saccade::capi

saccade_status saccade_engine_create(const saccade_engine_options* options, saccade_engine** engine) {
  using namespace saccade::capi;
  return guard([&] {
    *needed(engine, "engine") = nullptr;
    saccade_engine_options known{};
    if (options != nullptr) known = taken(options, sizeof options->struct_size, "engine options");
    auto made = std::make_unique<saccade_engine>();
    made->team = saccade::make_thread_team(threads_of(known));
    *engine = made.release();
  });
}

void saccade_engine_free(saccade_engine* engine) { delete engine; }
