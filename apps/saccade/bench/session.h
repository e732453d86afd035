#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/saccade/bench/options.h"
#include "apps/saccade/bench/rounds.h"
#include "saccade/base/precision.h"
#include "saccade/base/team.h"

namespace saccade::app {

using Json = nlohmann::ordered_json;

/// What all rows of one `saccade bench` share: teams, targets, and the head of the report. The teams are those of
/// `saccade run`: ggml's own OpenMP threads where it has them, so that two pools never spin side by side.
/// Frees the choice of the CPU target when it goes.
class Session {
 public:
  /// What a command takes where nothing was asked for.
  struct Defaults {
    std::int64_t repetitions = 0;
    bool all_targets = false;  ///< not only the best
  };
  Session(const BenchOptions& options, const Defaults& defaults);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Team& team(int n_threads);
  const std::vector<int>& threads() const { return threads_; }
  int most_threads() const;
  /// What this build holds and this machine can run, best first.
  const std::vector<std::string>& known_targets() const { return known_targets_; }
  /// As asked for, or the default.
  const std::vector<std::string>& targets() const { return targets_; }
  /// As asked for, or all that the target can run. Errors: as parse_precision and check_precision.
  std::vector<Precision> precisions(const std::string& target) const;
  std::int64_t repetitions() const { return repetitions_; }

  /// {"bench", "cpu", "n_cores", "targets", "commit", "ggml", "team", "repetitions", "rows"}
  Json report(const std::string& bench, const Json& rows) const;
  /// The same for people, in two lines.
  std::string title(const std::string& bench) const;

 private:
  std::vector<int> threads_;
  std::vector<std::string> known_targets_, targets_, precision_words_;
  std::int64_t repetitions_;
  std::map<int, std::unique_ptr<Team>> teams_;
};

/// Adds "ms", "ms_min", "ms_max" to a row.
void add_times(Json& row, Spread seconds);
/// Rounded to four digits, which is more than any timing here deserves.
double four_digits(double value);

/// One column of a table for people: a heading, and the row's key or keys that fill it.
struct Column {
  std::string head, key;
  int width = 0, decimals = 2;  ///< width < 0: left-aligned
};
std::string table_of(const Json& rows, const std::vector<Column>& columns);

}  // namespace saccade::app
