#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "saccade/base/error.h"
#include "saccade/base/team.h"

namespace saccade {

/// Somebody else's team until the caller has enough: `stop` is asked before each item that the thread which made this
/// runs, and once it says true, every parallel_for_or_throw ends with Fault::kUser, `line`.
class StoppableTeam final : public Team {
 public:
  StoppableTeam(Team& inner, const std::function<bool()>& stop, std::string line)
      : inner_(inner), stop_(stop), line_(std::move(line)) {}
  int size() const override { return inner_.size(); }
  void run(Task task) override { inner_.run(task); }
  void before_item() override {
    if (stop_ && std::this_thread::get_id() == caller_ && stop_()) stopped_ = true;
    if (stopped_) fail_user(line_);
  }

 private:
  Team& inner_;
  const std::function<bool()>& stop_;
  std::string line_;
  std::thread::id caller_ = std::this_thread::get_id();
  std::atomic<bool> stopped_{false};
};

}  // namespace saccade
