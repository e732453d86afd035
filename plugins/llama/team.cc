#include "plugins/llama/team.h"

#include <dlfcn.h>

#include <atomic>
#include <cstring>

namespace saccade::llama {
namespace {

/// Part of the ABI of GCC's OpenMP runtime, which LLVM's (libomp) offers too.
using GompParallel = void (*)(void (*body)(void*), void* data, unsigned n_threads, unsigned flags);

/// The runtime that the library with this function in it is linked to.
void* find_in_library_of(void* function, const char* name) {
  Dl_info info;
  if (function == nullptr || dladdr(function, &info) == 0) return nullptr;
  void* handle = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  if (handle == nullptr) return nullptr;
  void* symbol = dlsym(handle, name);  // searches what it depends on, too
  dlclose(handle);
  return symbol;
}

GompParallel find_openmp(const Ggml& ggml) {
  const ggml_backend_reg_t cpu = ggml.reg_by_name("CPU");
  if (cpu == nullptr) return nullptr;
  void* symbol = find_in_library_of(ggml.reg_get_proc_address(cpu, "ggml_backend_set_n_threads"), "GOMP_parallel");
  GompParallel parallel = nullptr;
  std::memcpy(&parallel, &symbol, sizeof symbol);
  return parallel;
}

class OpenMpTeam final : public Team {
 public:
  OpenMpTeam(GompParallel parallel, int n_threads) : parallel_(parallel), n_threads_(n_threads) {}
  int size() const override { return n_threads_; }

  void run(Task task) override {
    // A runtime may give fewer threads than asked for, so a thread takes the next worker that nobody has taken.
    struct Shared {
      const Task& task;
      int n_threads;
      std::atomic<int> next{0};
    } shared{task, n_threads_};
    const auto body = [](void* data) {
      auto& mine = *static_cast<Shared*>(data);
      for (int worker; (worker = mine.next.fetch_add(1, std::memory_order_relaxed)) < mine.n_threads;)
        mine.task(worker);
    };
    parallel_(body, &shared, static_cast<unsigned>(n_threads_), 0);
  }

 private:
  GompParallel parallel_;
  int n_threads_;
};

}  // namespace

std::unique_ptr<Team> make_guest_team(const Ggml& ggml, int n_threads) {
  if (n_threads > 1) {
    if (const GompParallel parallel = find_openmp(ggml)) return std::make_unique<OpenMpTeam>(parallel, n_threads);
  }
  return make_thread_team(n_threads);
}

bool shares_openmp(const Ggml& ggml) { return find_openmp(ggml) != nullptr; }

}  // namespace saccade::llama
