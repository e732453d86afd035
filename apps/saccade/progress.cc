#include "apps/saccade/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

namespace saccade::app {

Progress::Progress(std::string what, std::int64_t total, std::string unit)
    : what_(std::move(what)), unit_(std::move(unit)), total_(total), terminal_(::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (shown_) std::fputs("\r\x1b[K", stderr);
}

void Progress::at(std::int64_t done) {
  const auto now = Clock::now();
  if (!terminal_ || total_ <= 0 || now - last_ < std::chrono::milliseconds(100)) return;
  last_ = now;
  shown_ = true;
  const std::chrono::duration<double> spent = now - start_;
  // A later token costs more than an earlier one, so this is a guess from below.
  const std::string rest =
      done > 0 && spent.count() > 2
          ? fmt::format(", about {:.0f} s left",
                        spent.count() * static_cast<double>(total_ - done) / static_cast<double>(done))
          : "";
  const auto line =
      fmt::format("\r{}: {} of {} {} ({} %){}\x1b[K", what_, done, total_, unit_, 100 * done / total_, rest);
  std::fputs(line.c_str(), stderr);
}

}  // namespace saccade::app
