#include <fmt/format.h>

#include <functional>
#include <string>
#include <vector>

#include "apps/saccade/bench/contest.h"
#include "apps/saccade/bench/yardstick.h"
#include "apps/saccade/output.h"

namespace saccade::app {
namespace {

constexpr std::int64_t kRepetitions = 5;

/// The rate that binds a precision on a target, timed in the same turns.
struct Peak {
  std::string what, target;
  int threads, entrant;
  double work;
};

/// Everything that is timed side by side on one shape.
class Attend {
 public:
  Attend(Session& session, const BenchOptions& options, const Shape& shape)
      : session_(session), contest_(session, shape, options.densities.empty()) {
    std::vector<const Pattern*> patterns = {&contest_.add_pattern({})};
    for (const double density : options.densities) patterns.push_back(&contest_.add_pattern(density));
    for (const int n_threads : session.threads()) {
      if (options.densities.empty()) contest_.add_peers(n_threads);
      for (const std::string& target : session.targets()) {
        for (const Precision precision : session.precisions(target)) {
          for (const Pattern* pattern : patterns) contest_.add_ours(target, precision, n_threads, *pattern);
          add_peak(precision, target, n_threads);
        }
      }
    }
    contest_.rounds().measure(session.repetitions(), shape.text());
  }

  Json rows() {
    Json rows = Json::array();
    for (Line& line : contest_.lines()) {
      contest_.add_times(line);
      add_rates(line);
      add_sparse(line);
      contest_.add_ratios(line);
      rows.push_back(line.row);
    }
    return rows;
  }

 private:
  void add_peak(Precision precision, const std::string& target, int n_threads) {
    const std::string what = peak_of(precision, target);
    const std::function<double()> run = run_of(what, target, session_.team(n_threads));
    const double work = run();
    const int entrant = contest_.rounds().add([run] { run(); });
    peaks_.push_back({what, target, n_threads, entrant, work});
  }

  void add_rates(Line& line) {
    Json& row = line.row;
    const Shape& shape = contest_.data().shape();
    const double visited = line.ours ? static_cast<double>(line.ours->cost().pairs_visited) : shape.pairs();
    const double rate = 4.0 * static_cast<double>(shape.head_dim) * visited / contest_.seconds(line) * 1e-9;
    row["density"] = four_digits(visited / shape.pairs());
    row["gflop_per_s"] = four_digits(rate);
    row["share_i16"] = row["share_bf16"] = row["peak"] = row["peak_gflop_per_s"] = row["share_of_peak"] = nullptr;
    if (line.ours == nullptr) return;
    row["share_i16"] = four_digits(static_cast<double>(line.ours->cost().pairs_i16) / visited);
    row["share_bf16"] = four_digits(static_cast<double>(line.ours->cost().pairs_bf16) / visited);
    for (const Peak& peak : peaks_) {
      if (peak.what != peak_of(line.precision, line.target) || peak.target != line.target ||
          peak.threads != line.threads)
        continue;
      const double most = peak.work / contest_.rounds().spread(peak.entrant).median * 1e-9;
      row["peak"] = peak.what;
      row["peak_gflop_per_s"] = four_digits(most);
      row["share_of_peak"] = four_digits(rate / most);
    }
  }

  /// The time as a share of the dense time, and what is wanted of it.
  void add_sparse(Line& line) {
    line.row["time_of_dense"] = line.row["wanted_of_dense"] = nullptr;
    if (line.pattern == nullptr || !line.pattern->asked) return;
    const double dense = contest_.best([&](const Line& other) {
      return other.pattern != nullptr && !other.pattern->asked && other.threads == line.threads &&
             other.target == line.target && other.precision == line.precision;
    });
    line.row["time_of_dense"] = four_digits(contest_.seconds(line) / dense);
    line.row["wanted_of_dense"] = four_digits(1.2 * line.row["density"].get<double>() + 0.02);
  }

  Session& session_;
  Contest contest_;
  std::vector<Peak> peaks_;
};

std::vector<Shape> shapes_of(const BenchOptions& options) {
  const bool sparse = !options.densities.empty();
  const std::vector<Pos> head_dims = sparse ? std::vector<Pos>{128} : std::vector<Pos>{64, 128, 256};
  const std::vector<Pos> kv_lens = sparse ? std::vector<Pos>{32768, 131072} : std::vector<Pos>{4096, 16384, 32768};
  std::vector<Shape> shapes;
  for (const auto& type : or_else<std::string>(options.types, {"f16"})) {
    for (const Pos head_dim : or_else<Pos>(options.head_dims, head_dims)) {
      for (const Pos kv_len : or_else<Pos>(options.kv_lens, kv_lens)) {
        shapes.push_back({.head_dim = head_dim,
                          .kv_len = kv_len,
                          .q_len = options.q_len,
                          .n_heads = options.n_heads,
                          .n_kv_heads = options.n_kv_heads,
                          .type = kv_type(type)});
        check(shapes.back());
        check_memory(bench_bytes(shapes.back(), !sparse && has_plain_path(shapes.back().type)), shapes.back().text());
      }
    }
  }
  return shapes;
}

std::string tables_of(const Json& rows, bool sparse) {
  std::vector<Column> columns = {{"head_dim", "head_dim", 8},    {"type", "type", -5}, {"keys", "kv_len", 7},
                                 {"threads", "threads", 7},      {"who", "who", -12},  {"target", "target", -6},
                                 {"prec", "precision", -4},      {"ms", "ms", 26},     {"GFLOP/s", "gflop_per_s", 8, 1},
                                 {"of peak", "share_of_peak", 7}};
  if (sparse) {
    columns.insert(
        columns.end(),
        {{"density", "density", 7, 3}, {"of dense", "time_of_dense", 8, 3}, {"wanted", "wanted_of_dense", 7, 3}});
  } else {
    columns.insert(columns.end(),
                   {{"x ggml", "vs_ggml", 7}, {"x fa=off", "vs_ggml_fa_off", 8}, {"x better", "vs_better_ggml", 8}});
  }
  columns.push_back({"x 1 thread", "vs_one_thread", 10});
  return table_of(rows, columns);
}

}  // namespace

void bench_attend(const BenchOptions& options) {
  check(options);
  const auto shapes = shapes_of(options);
  Session session(options, {.repetitions = kRepetitions});
  Json rows = Json::array();
  for (const Shape& shape : shapes)
    for (Json& row : Attend(session, options, shape).rows()) rows.push_back(std::move(row));
  if (options.json) return print(session.report("attend", rows).dump(2) + "\n");
  print(session.title("attend") + tables_of(rows, !options.densities.empty()));
}

}  // namespace saccade::app
