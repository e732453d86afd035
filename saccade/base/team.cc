#include "saccade/base/team.h"

#include <cstdint>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "saccade/base/error.h"

namespace saccade {
namespace {

/// Sleeps in the kernel (futex, through std::atomic::wait) between tasks.
class ThreadTeam final : public Team {
 public:
  explicit ThreadTeam(int n_threads) : n_threads_(n_threads) {
    try {
      for (int worker = 1; worker < n_threads; ++worker) threads_.emplace_back([this, worker] { serve(worker); });
    } catch (const std::system_error&) {
      stop();
      fail_machine("base/team: the system starts no more than " + std::to_string(threads_.size() + 1) + " threads, " +
                   std::to_string(n_threads) + " were asked for");
    }
  }
  ~ThreadTeam() override { stop(); }

  int size() const override { return n_threads_; }

  void run(Task task) override {
    task_ = &task;
    running_.store(n_threads_ - 1, std::memory_order_relaxed);
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
    task(0);
    for (int left; (left = running_.load(std::memory_order_acquire)) != 0;) running_.wait(left);
  }

 private:
  void serve(int worker) {
    for (std::uint32_t seen = 0;;) {
      round_.wait(seen, std::memory_order_acquire);
      ++seen;
      if (stopping_.load(std::memory_order_relaxed)) return;
      (*task_)(worker);
      if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) running_.notify_one();
    }
  }

  void stop() {
    stopping_.store(true, std::memory_order_relaxed);
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  int n_threads_;
  const Task* task_ = nullptr;
  std::atomic<std::uint32_t> round_{0};
  std::atomic<int> running_{0};
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> threads_;
};

}  // namespace

std::unique_ptr<Team> make_thread_team(int n_threads) {
  if (n_threads < 1) fail_user("threads must be >= 1, got " + std::to_string(n_threads));
  if (n_threads == 1) return std::make_unique<Alone>();
  return std::make_unique<ThreadTeam>(n_threads);
}

}  // namespace saccade
