#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace saccade::app {

/// Median and extremes of what was measured, in seconds.
struct Spread {
  double median = 0, min = 0, max = 0;
};
Spread spread_of(std::vector<double> values);

/// Things to be timed side by side: each runs once unmeasured and is then checked, then all take turns, so that a slow
/// minute of the machine falls on all of them.
class Rounds {
 public:
  /// `check` may be empty; it throws where a result is wrong, and then nothing is reported.
  int add(std::function<void()> run, std::function<void()> check = {});
  /// Errors: what `run` and `check` throw; `Interrupted` after Ctrl-C.
  void measure(std::int64_t repetitions, const std::string& what);
  Spread spread(int index) const { return spread_of(entrants_[static_cast<std::size_t>(index)].seconds); }

 private:
  struct Entrant {
    std::function<void()> run, check;
    std::vector<double> seconds;
  };
  std::vector<Entrant> entrants_;
};

}  // namespace saccade::app
