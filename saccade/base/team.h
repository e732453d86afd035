#pragma once

#include <atomic>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "saccade/base/view.h"

namespace saccade {

/// A borrowed callable `void(int worker)`; lives as long as the call it is passed to.
class Task {
 public:
  template <class F, class = std::enable_if_t<!std::is_same_v<std::remove_cvref_t<F>, Task>>>
  Task(F&& f)  // NOLINT(google-explicit-constructor): a lambda is what everybody passes
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(f)))),
        call_([](void* object, int worker) { (*static_cast<std::remove_reference_t<F>*>(object))(worker); }) {}
  void operator()(int worker) const { call_(object_, worker); }

 private:
  void* object_;
  void (*call_)(void*, int);
};

/// Workers that run one task together. The engine never starts threads of its own: whoever calls it hands in a team.
class Team {
 public:
  virtual ~Team() = default;
  /// How many workers `run` uses; at least 1.
  virtual int size() const = 0;
  /// Calls `task(worker)` once for each worker in [0, size()), maybe at the same time; returns when all are done.
  /// The task must not throw.
  virtual void run(Task task) = 0;
  /// Asked before each item of a parallel_for_or_throw (where/parts/parallel.h); throws where the rest is not wanted.
  virtual void before_item() {}
};

/// The caller's own thread.
class Alone final : public Team {
 public:
  int size() const override { return 1; }
  void run(Task task) override { task(0); }
};

/// Threads of our own that sleep between tasks (they never spin beside somebody else's pool).
/// Errors: Fault::kUser when n_threads < 1; Fault::kMachine when a thread cannot be started.
std::unique_ptr<Team> make_thread_team(int n_threads);

/// Calls `body(item, worker)` for each item in [0, n_items), whichever worker is free first. Which worker takes an item
/// is not determined; results must not depend on it.
template <class Body>
void parallel_for(Team& team, Pos n_items, Body&& body) {
  std::atomic<Pos> next{0};
  team.run([&](int worker) {
    for (Pos item; (item = next.fetch_add(1, std::memory_order_relaxed)) < n_items;) body(item, worker);
  });
}

/// The same for items whose neighbours lie side by side in memory: each worker takes a run of them in order, then what
/// is left of the others' runs.
template <class Body>
void parallel_for_runs(Team& team, Pos n_items, Body&& body) {
  const Pos n_runs = team.size();
  std::vector<std::atomic<Pos>> next(static_cast<std::size_t>(n_runs));
  for (Pos run = 0; run < n_runs; ++run) next[static_cast<std::size_t>(run)] = n_items * run / n_runs;
  team.run([&](int worker) {
    for (Pos turn = 0; turn < n_runs; ++turn) {
      const Pos run = (worker + turn) % n_runs;
      const Pos end = n_items * (run + 1) / n_runs;
      std::atomic<Pos>& at = next[static_cast<std::size_t>(run)];
      for (Pos item; (item = at.fetch_add(1, std::memory_order_relaxed)) < end;) body(item, worker);
    }
  });
}

}  // namespace saccade
