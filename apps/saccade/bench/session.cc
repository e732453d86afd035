#include "apps/saccade/bench/session.h"

#include <fmt/format.h>
#include <ggml.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "apps/saccade/bench/peers.h"
#include "apps/saccade/engine.h"
#include "apps/saccade/machine.h"
#include "plugins/llama/team.h"
#include "saccade/attend/attend.h"
#include "saccade/base/error.h"
#include "saccade/commit.h"
#include "saccade/kernel/bf16.h"
#include "saccade/kernel/fixed.h"
#include "saccade/kernel/targets.h"
#include "saccade/plan/nearest.h"
#include "saccade/plan/plan.h"

namespace saccade::app {
namespace {

void check_targets(const std::vector<std::string>& asked, const std::vector<std::string>& known) {
  const std::vector<std::string_view> names(known.begin(), known.end());
  for (const std::string& target : asked)
    if (std::ranges::find(known, target) == known.end())
      fail_user(fmt::format("--target: this machine cannot run '{}'; {}", target, suggest(target, names)));
}

const char* team_kind() {
  ggml_cpu();
  return llama::shares_openmp(llama::find_ggml()) ? "ggml's OpenMP threads" : "own threads, asleep between calls";
}

}  // namespace

Session::Session(const BenchOptions& options, const Defaults& defaults)
    : known_targets_(kernel::supported_targets()),
      targets_(options.targets),
      precision_words_(options.precisions),
      repetitions_(options.given_repetitions ? options.repetitions : defaults.repetitions) {
  check_targets(targets_, known_targets_);
  if (targets_.empty() && defaults.all_targets) targets_ = known_targets_;
  if (targets_.empty()) targets_ = {known_targets_.front()};
  for (const std::int64_t n : options.threads) threads_.push_back(static_cast<int>(n));
  if (threads_.empty()) threads_ = {default_threads()};
  for (const std::string& target : targets_) precisions(target);  // say no before the long work
}

Session::~Session() { kernel::force_target(""); }

Team& Session::team(int n_threads) {
  auto& team = teams_[n_threads];
  if (!team) {
    ggml_cpu();
    team = llama::make_guest_team(llama::find_ggml(), n_threads);
  }
  return *team;
}

int Session::most_threads() const { return *std::ranges::max_element(threads_); }

std::vector<Precision> Session::precisions(const std::string& target) const {
  kernel::force_target(target);
  std::vector<Precision> chosen;
  for (const std::string& word : precision_words_) {
    chosen.push_back(parse_precision(word));
    if (chosen.back() == Precision::kAuto) fail_user("--precision: a benchmark wants to know which, got auto");
    check_precision(chosen.back());
  }
  if (!chosen.empty()) return chosen;
  chosen = {Precision::kF32};
  if (kernel::has_fixed()) chosen.push_back(Precision::kI16);
  if (kernel::has_bf16_tiles()) chosen.push_back(Precision::kBf16);  // emulated it is worth no row unless asked for
  return chosen;
}

Json Session::report(const std::string& bench, const Json& rows) const {
  const std::string commit = kCommit;
  return {{"bench", bench},
          {"cpu", cpu_name()},
          {"n_cores", default_threads()},
          {"targets", known_targets_},
          {"commit", commit.empty() ? Json(nullptr) : Json(commit)},
          {"ggml", ggml_version()},
          {"team", team_kind()},
          {"repetitions", repetitions_},
          {"rows", rows}};
}

std::string Session::title(const std::string& bench) const {
  return fmt::format("saccade bench {}: {}, {} cores, commit {}\nggml {}; threads: {}; median (min-max) of {}\n\n",
                     bench, cpu_name(), default_threads(), built_from(), ggml_version(), team_kind(), repetitions_);
}

double four_digits(double value) {
  if (value == 0 || !std::isfinite(value)) return value;
  const double unit = std::pow(10.0, std::floor(std::log10(std::fabs(value))) - 3);
  return std::strtod(fmt::format("{:.9g}", std::round(value / unit) * unit).c_str(), nullptr);
}

void add_times(Json& row, Spread seconds) {
  row["ms"] = four_digits(1e3 * seconds.median);
  row["ms_min"] = four_digits(1e3 * seconds.min);
  row["ms_max"] = four_digits(1e3 * seconds.max);
}

std::string table_of(const Json& rows, const std::vector<Column>& columns) {
  std::string text;
  const auto put = [&text](const Column& column, const std::string& cell) {
    text +=
        column.width < 0 ? fmt::format("{:<{}}  ", cell, -column.width) : fmt::format("{:>{}}  ", cell, column.width);
  };
  const auto end_line = [&text] {
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
  };
  for (const Column& column : columns) put(column, column.head);
  end_line();
  for (const Json& row : rows) {
    for (const Column& column : columns) {
      const Json value = row.value(column.key, Json());
      std::string cell;
      if (column.key == "ms")
        cell = fmt::format("{:.{}f} ({:.{}f}-{:.{}f})", value.get<double>(), column.decimals,
                           row["ms_min"].get<double>(), column.decimals, row["ms_max"].get<double>(), column.decimals);
      else if (value.is_number_float())
        cell = fmt::format("{:.{}f}", value.get<double>(), column.decimals);
      else if (value.is_string())
        cell = value.get<std::string>();
      else if (!value.is_null())
        cell = value.dump();
      put(column, cell);
    }
    end_line();
  }
  return text;
}

}  // namespace saccade::app
