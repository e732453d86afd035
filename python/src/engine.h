#pragma once

#include <nanobind/nanobind.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <vector>

#include "saccade/attend/attend.h"
#include "saccade/base/error.h"
#include "saccade/base/team.h"
#include "saccade/plan/planned.h"

namespace saccade::python {

/// The process's threads and scratch memory. Calls from several Python threads take turns: they would share the same
/// cores anyway.
class Engine {
 public:
  /// The one engine, locked for as long as this lives. To be made without the GIL, which whoever holds it may want.
  class Lock {
   public:
    Lock();
    Engine& operator*() const { return engine_; }
    Engine* operator->() const { return &engine_; }

   private:
    Engine& engine_;
    std::unique_lock<std::mutex> held_;
  };

  Team& team();
  /// For a call of so many FLOP: waking threads takes longer than a small one does alone.
  Team& team_for(double flop) { return flop < kSmall ? alone_ : team(); }
  Workspace& workspace() { return workspace_; }
  /// f32 [n], what an earlier call left in it; good until the next request.
  float* scratch(std::size_t n);

  int n_threads() const { return n_threads_; }
  void set_threads(int n);

 private:
  static constexpr double kSmall = 1 << 20;  // some 20 us of one core; two threads take that long to begin and end

  std::mutex mutex_;
  Alone alone_;
  int n_threads_ = 0;  ///< 0: not asked yet
  std::unique_ptr<Team> team_;
  Workspace workspace_;
  std::vector<float> scratch_;
};

/// Has the user pressed Ctrl-C? Asked from a long call that runs without the GIL, on the thread that made it; looks
/// every 20 ms. Once it said true, `rethrow` (with the GIL) raises what the signal's handler raised.
class Interrupt {
 public:
  bool asked();
  bool seen() const { return seen_; }
  void rethrow() const;

  /// Has the call ask, where it is one that takes long enough to be worth looking up from: some 10 ms of a core.
  void watch(PlannedCall& call);

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point last_ = Clock::now();
  bool seen_ = false;
};

/// Calls `work(engine, interrupt)` with the engine locked and without the GIL. What the user's Ctrl-C ended, or what
/// came to its end just before it, raises what the signal's handler raised.
template <class Work>
void run_interruptibly(const Work& work) {
  Interrupt interrupt;
  try {
    const nanobind::gil_scoped_release release;
    const Engine::Lock engine;
    work(*engine, interrupt);
  } catch (const Error&) {
    interrupt.rethrow();
    throw;
  }
  interrupt.rethrow();
}

}  // namespace saccade::python
