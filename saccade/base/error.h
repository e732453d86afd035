#pragma once

#include <stdexcept>
#include <string>

namespace saccade {

/// Whose fault it was. The value is the exit code of the command line.
enum class Fault { kUser = 2, kMachine = 3 };

/// One line: place, rule, value. "where/window: n must be >= 1, got -1"
class Error : public std::runtime_error {
 public:
  Error(Fault fault, const std::string& line) : std::runtime_error(line), fault_(fault) {}
  Fault fault() const { return fault_; }
  int exit_code() const { return static_cast<int>(fault_); }

 private:
  Fault fault_;
};

[[noreturn]] inline void fail_user(const std::string& line) { throw Error(Fault::kUser, line); }
[[noreturn]] inline void fail_machine(const std::string& line) { throw Error(Fault::kMachine, line); }

}  // namespace saccade

/// An invariant of ours; live where SACCADE_CHECKS is on (dev, asan). No input may reach it.
#ifdef SACCADE_CHECKS
#include <cstdio>
#include <cstdlib>
#define SACCADE_ASSERT(condition, reason) \
  ((condition) ? (void)0                  \
               : (std::fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, reason, #condition), std::abort()))
#else
#define SACCADE_ASSERT(condition, reason) ((void)0)
#endif
