#include <fmt/format.h>

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "apps/saccade/bench/layers.h"
#include "apps/saccade/bench/rounds.h"
#include "apps/saccade/bench/session.h"
#include "apps/saccade/bench/yardstick.h"
#include "apps/saccade/output.h"

namespace saccade::app {
namespace {

constexpr std::int64_t kRepetitions = 7;
/// A smaller footprint is read over and over until this much was read, so that a run takes milliseconds.
constexpr std::size_t kLeastRead = std::size_t{256} << 20;

/// One limit of the machine.
struct Limit {
  Json row;
  double work = 0;   ///< of one run
  int entrant = -1;  ///< -1: this machine has no such thing
};

class Machine {
 public:
  Machine(Session& session, std::int64_t footprint_mib)
      : memory_((static_cast<std::size_t>(footprint_mib) << 20) / sizeof(std::uint64_t)) {
    for (std::size_t i = 0; i < memory_.size(); ++i) memory_[i] = i * 0x9E3779B97F4A7C15U;
    time(add("clock", "", 1, "Gcycles/s"), run_dependent_adds);
    for (const int n_threads : session.threads()) {
      Team& team = session.team(n_threads);
      for (const std::string& target : session.targets()) add_arithmetic(target, team);
      add_units(session.known_targets().front(), team);
      for (std::size_t mib = 1; mib <= static_cast<std::size_t>(footprint_mib); mib *= 2) add_reading(mib, team);
    }
    rounds_.measure(session.repetitions(), "machine");
  }

  Json rows() {
    const double clock = limits_.front().work / rounds_.spread(limits_.front().entrant).median;
    Json rows = Json::array();
    for (const Limit& limit : limits_) {
      Json row = limit.row;
      const bool there = limit.entrant >= 0;
      const Spread seconds = there ? rounds_.spread(limit.entrant) : Spread{};
      const auto rate = [&](double time) { return there ? Json(four_digits(limit.work / time * 1e-9)) : Json(); };
      row["rate"] = rate(seconds.median);
      row["rate_min"] = rate(seconds.max);
      row["rate_max"] = rate(seconds.min);
      const double cycles = seconds.median * clock * row["threads"].get<double>();
      row["per_cycle"] = there ? Json(four_digits(limit.work / cycles)) : Json();
      rows.push_back(std::move(row));
    }
    return rows;
  }

 private:
  Limit& add(const char* what, const std::string& target, int n_threads, const char* unit) {
    Limit& limit = limits_.emplace_back();
    limit.row = {{"what", what},
                 {"target", target.empty() ? Json() : Json(target)},
                 {"footprint_mib", nullptr},
                 {"threads", n_threads},
                 {"unit", unit}};
    return limit;
  }

  /// `run` returns the work it did.
  void time(Limit& limit, const std::function<double()>& run, std::function<void()> check = {}) {
    limit.entrant = rounds_.add([&limit, run] { limit.work = run(); }, std::move(check));
  }

  void add_arithmetic(const std::string& target, Team& team) {
    const int n = team.size();
    time(add("fma_f32", target, n, "GFLOP/s"), [&team, target] { return run_multiply_add(target, team); });
    Exponential& exponential = exponentials_.emplace_back(target, team);
    time(
        add("exp2_f32", target, n, "Gelements/s"), [&exponential] { return exponential.run(); },
        [&exponential] { exponential.check(); });
  }

  /// What a CPU has or lacks, whatever its vectors are.
  void add_units(const std::string& target, Team& team) {
    Limit& vnni = add("vnni_i16", target, team.size(), "GOP/s");
    if (has_multiply_add_i16(target)) time(vnni, [&team, target] { return run_multiply_add_i16(target, team); });
    for (const bool zeros : {true, false}) {
      Limit& limit = add(zeros ? "amx_bf16_zeros" : "amx_bf16_random", target, team.size(), "GFLOP/s");
      if (!TileProducts::exist(target)) continue;
      TileProducts& tiles = tiles_.emplace_back(target, zeros, team);
      time(
          limit, [&tiles] { return tiles.run(); }, [&tiles] { tiles.check(); });
    }
  }

  void add_reading(std::size_t mib, Team& team) {
    const auto piece = std::as_bytes(std::span(memory_)).first(mib << 20);
    const auto passes = static_cast<int>(std::max<std::size_t>(1, kLeastRead / piece.size()));
    Reading& reading = readings_.emplace_back(std::vector{piece}, passes, team);
    Limit& limit = add("read", "", team.size(), "GB/s");
    limit.row["footprint_mib"] = mib;
    time(
        limit, [&reading] { return reading.run(); }, [&reading] { reading.check(); });
  }

  std::vector<std::uint64_t> memory_;
  std::deque<TileProducts> tiles_;
  std::deque<Exponential> exponentials_;
  std::deque<Reading> readings_;
  std::deque<Limit> limits_;  // the clock comes first
  Rounds rounds_;
};

std::string table(const Json& rows) {
  return table_of(rows, {{"what", "what", -15},
                         {"target", "target", -6},
                         {"MiB", "footprint_mib", 5},
                         {"threads", "threads", 7},
                         {"rate", "rate", 9, 2},
                         {"min", "rate_min", 9, 2},
                         {"max", "rate_max", 9, 2},
                         {"unit", "unit", -11},
                         {"a cycle and thread", "per_cycle", 18, 2}});
}

}  // namespace

void bench_machine(const BenchOptions& options) {
  check(options);
  check_memory(static_cast<double>(options.footprint_mib) * (1 << 20),
               fmt::format("--footprint {}", options.footprint_mib));
  Session session(options, {.repetitions = kRepetitions, .all_targets = true});
  const Json rows = Machine(session, options.footprint_mib).rows();
  if (options.json) return print(session.report("machine", rows).dump(2) + "\n");
  print(session.title("machine") + table(rows));
}

}  // namespace saccade::app
