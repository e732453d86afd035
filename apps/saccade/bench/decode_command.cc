#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "apps/saccade/bench/contest.h"
#include "apps/saccade/bench/yardstick.h"
#include "apps/saccade/output.h"

namespace saccade::app {
namespace {

constexpr std::int64_t kRepetitions = 7;

/// One query through all layers: keys and values are read once, from memory when they do not fit into a cache.
class Decode {
 public:
  Decode(Session& session, const Shape& shape) : contest_(session, shape, true) {
    const Pattern& dense = contest_.add_pattern({});
    for (const int n_threads : session.threads()) {
      contest_.add_peers(n_threads);
      for (const std::string& target : session.targets())
        contest_.add_ours(target, Precision::kF32, n_threads, dense);  // few rows have no other
      auto& reading =
          readings_.emplace_back(n_threads, Reading(contest_.data().kv_bytes(), 1, session.team(n_threads)), 0);
      reading.entrant = contest_.rounds().add([&reading] { reading.loop.run(); }, [&reading] { reading.loop.check(); });
    }
    contest_.rounds().measure(session.repetitions(), shape.text());
  }

  Json rows() {
    Json rows = Json::array();
    for (Line& line : contest_.lines()) {
      contest_.add_times(line);
      add_rates(line);
      contest_.add_ratios(line);
      rows.push_back(line.row);
    }
    return rows;
  }

 private:
  struct Yardstick {
    int threads;
    Reading loop;
    int entrant;
  };

  void add_rates(Line& line) {
    const Shape& shape = contest_.data().shape();
    const double bytes = static_cast<double>(shape.kv_bytes()) * static_cast<double>(shape.n_layers);
    line.row["n_layers"] = shape.n_layers;
    line.row["footprint_mib"] = four_digits(bytes / (1 << 20));
    line.row["gb_per_s"] = four_digits(bytes / contest_.seconds(line) * 1e-9);
    for (const Yardstick& reading : readings_) {
      if (reading.threads != line.threads) continue;
      const double most = contest_.rounds().spread(reading.entrant).median;
      line.row["read_gb_per_s"] = four_digits(bytes / most * 1e-9);
      line.row["share_of_read"] = four_digits(most / contest_.seconds(line));
    }
  }

  Contest contest_;
  std::deque<Yardstick> readings_;
};

std::vector<Shape> shapes_of(const BenchOptions& options) {
  std::vector<Shape> shapes;
  for (const auto& type : or_else<std::string>(options.types, {"f16"})) {
    for (const Pos head_dim : or_else<Pos>(options.head_dims, {64, 128, 256})) {
      for (const Pos kv_len : or_else<Pos>(options.kv_lens, {4096, 16384, 32768, 131072})) {
        Shape shape{.head_dim = head_dim,
                    .kv_len = kv_len,
                    .q_len = 1,
                    .n_heads = options.n_heads,
                    .n_kv_heads = options.n_kv_heads,
                    .type = kv_type(type)};
        check(shape);
        const auto footprint = static_cast<double>(options.footprint_mib) * (1 << 20);
        shape.n_layers = std::max<Pos>(1, static_cast<Pos>(footprint / static_cast<double>(shape.kv_bytes()) + 0.999));
        check_memory(bench_bytes(shape, has_plain_path(shape.type)),
                     fmt::format("{}, {} layers", shape.text(), shape.n_layers));
        shapes.push_back(shape);
      }
    }
  }
  return shapes;
}

std::string tables_of(const Json& rows) {
  return table_of(rows, {{"head_dim", "head_dim", 8},
                         {"type", "type", -5},
                         {"keys", "kv_len", 7},
                         {"threads", "threads", 7},
                         {"who", "who", -12},
                         {"target", "target", -6},
                         {"ms a layer", "ms", 24, 3},
                         {"GB/s", "gb_per_s", 6, 1},
                         {"of read", "share_of_read", 7},
                         {"x ggml", "vs_ggml", 7},
                         {"x fa=off", "vs_ggml_fa_off", 8},
                         {"x better", "vs_better_ggml", 8},
                         {"x 1 thread", "vs_one_thread", 10},
                         {"layers", "n_layers", 6},
                         {"MiB", "footprint_mib", 6, 0},
                         {"read GB/s", "read_gb_per_s", 9, 1}});
}

}  // namespace

void bench_decode(const BenchOptions& options) {
  check(options);
  const auto shapes = shapes_of(options);
  Session session(options, {.repetitions = kRepetitions});
  Json rows = Json::array();
  for (const Shape& shape : shapes)
    for (Json& row : Decode(session, shape).rows()) rows.push_back(std::move(row));
  if (options.json) return print(session.report("decode", rows).dump(2) + "\n");
  print(session.title("decode") + tables_of(rows));
}

}  // namespace saccade::app
