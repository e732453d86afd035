#include "python/src/engine.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "python/src/bind.h"
#include "saccade/kernel/targets.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace saccade::python {
namespace {

/// Never freed: threads must not be joined while a process ends. A forked child has none of its parent's threads and
/// may hold a lock of one of them, so it starts afresh.
std::atomic<Engine*>& the_engine() {
  static std::atomic<Engine*> engine = [] {
    pthread_atfork(nullptr, nullptr, [] { the_engine() = new Engine; });
    return new Engine;
  }();
  return engine;
}

/// CPUs this process may run on.
int available_cpus() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

}  // namespace

Engine::Lock::Lock() : engine_(*the_engine()), held_(engine_.mutex_) {}

Team& Engine::team() {
  if (!team_) set_threads(n_threads_ > 0 ? n_threads_ : available_cpus());
  return *team_;
}

void Engine::set_threads(int n) {
  team_ = make_thread_team(n);
  n_threads_ = n;
}

float* Engine::scratch(std::size_t n) {
  if (scratch_.size() < n) scratch_ = {}, scratch_.resize(n);
  return scratch_.data();
}

bool Interrupt::asked() {
  const auto now = Clock::now();
  if (seen_ || now - last_ < std::chrono::milliseconds(20)) return seen_;
  last_ = now;
  const nb::gil_scoped_acquire gil;
  seen_ = PyErr_CheckSignals() != 0;
  return seen_;
}

void Interrupt::watch(PlannedCall& call) {
  constexpr Pos kLong = Pos{1} << 27;
  const AttendCall& attend = call.attend;
  if (attend.q.len * attend.k.len * attend.q.n_heads * attend.q.dim <= kLong) return;
  call.stop = [this] { return asked(); };
}

void Interrupt::rethrow() const {
  if (seen_) nb::raise_python_error();
}

void bind_engine(nb::module_& m) {
  m.def(
      "set_threads",
      [](int n) {
        const nb::gil_scoped_release release;
        Engine::Lock()->set_threads(n);
      },
      "n"_a,
      "Sets how many threads every call uses from now on: by default as many as there are CPUs for this process.\n\n"
      "Errors    ValueError when n < 1. The same inputs on the same number of threads give the same bits.");
  m.def(
      "threads",
      [] {
        const nb::gil_scoped_release release;
        const Engine::Lock engine;
        engine->team();
        return engine->n_threads();
      },
      "How many threads a call uses.");
  m.def("cpu_targets", &kernel::supported_targets,
        "CPU targets that this build holds and this machine can run, best first; the first is used.");
}

}  // namespace saccade::python
