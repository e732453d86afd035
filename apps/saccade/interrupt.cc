#include "apps/saccade/interrupt.h"

#include <csignal>

namespace saccade::app {
namespace {

volatile std::sig_atomic_t asked = 0;

extern "C" void ask(int) { asked = 1; }

}  // namespace

void watch_signals() {
  struct sigaction action {};
  action.sa_handler = ask;
  action.sa_flags = SA_RESETHAND;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
}

bool interrupted() noexcept { return asked != 0; }

void stop_if_interrupted() {
  if (interrupted()) throw Interrupted{};
}

}  // namespace saccade::app
