#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace saccade::app {

/// One line on stderr that rewrites itself, where stderr is a terminal; nothing elsewhere.
class Progress {
 public:
  Progress(std::string what, std::int64_t total, std::string unit = "tokens");
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();
  void at(std::int64_t done);

 private:
  using Clock = std::chrono::steady_clock;
  std::string what_, unit_;
  std::int64_t total_;
  bool shown_ = false, terminal_;
  Clock::time_point start_ = Clock::now(), last_{};
};

}  // namespace saccade::app
