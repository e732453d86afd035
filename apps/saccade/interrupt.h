#pragma once

namespace saccade::app {

/// Thrown where long work notices Ctrl-C; unwinds everything and ends in exit code 130.
struct Interrupted {};

/// The first SIGINT or SIGTERM asks for a clean end, the second one ends at once. A full disk or a closed pipe becomes
/// an error of the write instead of a signal.
void watch_signals();
bool interrupted() noexcept;
void stop_if_interrupted();

}  // namespace saccade::app
