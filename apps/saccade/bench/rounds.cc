#include "apps/saccade/bench/rounds.h"

#include <algorithm>
#include <chrono>

#include "apps/saccade/interrupt.h"
#include "apps/saccade/progress.h"

namespace saccade::app {

Spread spread_of(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t n = values.size();
  return {(values[(n - 1) / 2] + values[n / 2]) / 2, values.front(), values.back()};
}

int Rounds::add(std::function<void()> run, std::function<void()> check) {
  entrants_.push_back({std::move(run), std::move(check), {}});
  return static_cast<int>(entrants_.size()) - 1;
}

void Rounds::measure(std::int64_t repetitions, const std::string& what) {
  const auto n = static_cast<std::int64_t>(entrants_.size());
  Progress progress(what, n * (repetitions + 1), "runs");
  std::int64_t done = 0;
  for (Entrant& entrant : entrants_) {
    stop_if_interrupted();
    entrant.run();
    if (entrant.check) entrant.check();
    progress.at(++done);
  }
  for (std::int64_t round = 0; round < repetitions; ++round) {
    for (Entrant& entrant : entrants_) {
      stop_if_interrupted();
      const auto start = std::chrono::steady_clock::now();
      entrant.run();
      entrant.seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
      progress.at(++done);
    }
  }
}

}  // namespace saccade::app
