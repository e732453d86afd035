// Question: how many times faster than ggml's best are the linear layers of a prompt, and at which share of the limit?

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "apps/saccade/bench/matrix.h"
#include "apps/saccade/bench/peers.h"
#include "apps/saccade/bench/rounds.h"
#include "apps/saccade/bench/session.h"
#include "apps/saccade/bench/yardstick.h"
#include "apps/saccade/output.h"
#include "plugins/llama/linear_node.h"
#include "saccade/base/error.h"
#include "saccade/kernel/targets.h"
#include "saccade/linear/experts.h"
#include "saccade/linear/few.h"
#include "saccade/linear/linear.h"

namespace saccade::app {
namespace {

constexpr std::int64_t kRepetitions = 5;
constexpr const char* kMatrices[] = {"896x896",   "896x128",   "896x4864",     "4864x896",
                                     "1536x8960", "8960x1536", "2048x768x32x2"};

/// As asked for, or all that are worth a row. Errors: as Session::precisions; Fault::kUser for f32.
std::vector<Precision> precisions_on(const Session& session, const BenchOptions& options, const std::string& target) {
  std::vector<Precision> precisions = session.precisions(target);
  if (std::erase(precisions, Precision::kF32) > 0 && !options.precisions.empty())
    fail_user("--precision: linear layers of ours are i16 or bf16, got f32");
  return precisions;
}

/// Forcing a target asks the CPU what it can, in a virtual machine for longer than a small product takes.
void on(const std::string& target) {
  if (kernel::chosen_target() != target) kernel::force_target(target);
}

/// ggml with its weights here and there, and ours on the plain ones, in turns.
class Linear {
 public:
  Linear(Session& session, const BenchOptions& options, const MatrixShape& shape) : matrix_(shape) {
    add_peer("ggml", ggml_backend_cpu_buffer_type());
    for (ggml_backend_buffer_type_t type : packing_buffer_types())
      add_peer(fmt::format("ggml({})", ggml_backend_buft_name(type)), type);
    y_.resize(peers_.front().product->y().size());
    for (const int n_threads : session.threads()) {
      for (Peer& peer : peers_) add_line(peer, n_threads);
      for (const std::string& target : session.targets()) {
        for (const Precision precision : precisions_on(session, options, target))
          add_ours(target, precision, session.team(n_threads));
        if (options.precisions.empty()) add_few(target, session.team(n_threads));
      }
    }
    rounds_.measure(session.repetitions(), shape.text());
  }

  Json rows() {
    Json rows = Json::array();
    for (Line& line : lines_) {
      add_times(line.row, rounds_.spread(line.entrant));
      line.row["gflop_per_s"] = four_digits(matrix_.shape().flop() / seconds(line) * 1e-9);
      line.row["error"] = four_digits(line.error);
      add_ratios(line);
      rows.push_back(line.row);
    }
    return rows;
  }

 private:
  struct Peer {
    std::string who;
    std::unique_ptr<GgmlProduct> product;
    double error = 0;
  };
  struct Line {
    Json row;
    int entrant = 0, threads = 0;
    bool ours = false;
    double error = 0;
    Precision precision = Precision::kAuto;
    int peak_entrant = -1;  ///< of ours: the rate that binds it, in the same turns; -1: reading does
    double operations = 0;
  };

  double seconds(const Line& line) const { return rounds_.spread(line.entrant).median; }

  void add_peer(const std::string& who, ggml_backend_buffer_type_t buffer_type) {
    if (auto product = GgmlProduct::make(matrix_, buffer_type)) peers_.push_back({who, std::move(product)});
  }

  Line& new_line(const std::string& who, const std::string& target, int n_threads) {
    const MatrixShape& shape = matrix_.shape();
    Line& line = lines_.emplace_back();
    line.threads = n_threads;
    line.row = {{"type", ggml_type_name(shape.type)},
                {"dim", shape.dim},
                {"n_rows", shape.n_rows},
                {"n_experts", shape.n_experts > 0 ? Json(shape.n_experts) : Json()},
                {"n_used", shape.n_experts > 0 ? Json(shape.n_used) : Json()},
                {"n_tokens", shape.n_tokens},
                {"threads", n_threads},
                {"who", who},
                {"target", target.empty() ? Json() : Json(target)},
                {"precision", nullptr},
                {"peak", nullptr}};
    return line;
  }

  void add_line(Peer& peer, int n_threads) {
    Line& line = new_line(peer.who, "", n_threads);
    line.entrant = rounds_.add([&peer, n_threads] { peer.product->run(n_threads); },
                               [this, &peer, &line] {
                                 constexpr double kEightBits = 0.05;  // what 8-bit activations may cost
                                 line.error = peer.error = matrix_.error(peer.product->y());
                                 if (!(line.error <= kEightBits)) fail(peer.who, line.error, kEightBits);
                               });
  }

  void add_ours(const std::string& target, Precision precision, Team& team) {
    const GgmlProduct& plain = *peers_.front().product;
    kernel::force_target(target);
    const llama::Ggml ggml = llama::find_ggml();
    if (!llama::experts_of(plain.weights(), ggml, {})) return;
    const bool emulated = precision == Precision::kBf16 && !TileProducts::exist(target);
    Line& line = new_line(emulated ? "saccade(emulated)" : "saccade", target, team.size());
    line.ours = true, line.precision = precision;
    line.row["precision"] = name_of(precision);
    line.row["peak"] = peak_of(precision, target);
    line.peak_entrant =
        rounds_.add([&line, peak = run_of(peak_of(precision, target), target, team)] { line.operations = peak(); });
    line.entrant = rounds_.add(
        [this, &plain, &team, target, precision, ggml] {
          on(target);
          run_ours(plain, ggml, precision, team);
        },
        [this, &line] { check_ours(line); });
  }

  /// As many as linear_few is for.
  void add_few(const std::string& target, Team& team) {
    constexpr Pos kMost = 128;
    const MatrixShape& shape = matrix_.shape();
    const auto type = llama::param_format_of(shape.type);
    kernel::force_target(target);
    if (shape.n_experts > 0 || shape.n_tokens > kMost || !can_multiply_few(*type, shape.dim)) return;
    const GgmlProduct& plain = *peers_.front().product;
    Line& line = new_line("saccade(few)", target, team.size());
    line.ours = true;
    line.entrant = rounds_.add(
        [this, &team, target, product = product_of(plain), call = call_of(plain)]() mutable {
          on(target);
          call.products = {&product, 1};
          linear_few(call, team, workspace_);
        },
        [this, &line] { check_ours(line); });
  }

  /// Errs no more than ggml does, or nothing is reported.
  void check_ours(Line& line) {
    line.error = matrix_.error(y_);
    if (!(line.error <= peers_.front().error)) fail(line.row["who"], line.error, peers_.front().error);
    std::ranges::fill(y_, 0.0F);
  }

  LinearProduct product_of(const GgmlProduct& plain) {
    return {*llama::params_of(plain.weights(), llama::find_ggml(), {}), y_.data(), matrix_.shape().n_rows};
  }
  LinearCall call_of(const GgmlProduct& plain) const {
    const MatrixShape& shape = matrix_.shape();
    return {static_cast<const float*>(plain.tokens().data), shape.dim, shape.n_tokens, shape.dim, {}};
  }

  void run_ours(const GgmlProduct& plain, const llama::Ggml& ggml, Precision precision, Team& team) {
    const MatrixShape& shape = matrix_.shape();
    if (shape.n_experts > 0) {
      ExpertsCall call = llama::experts_call_of(plain.node(), ggml, {});
      call.y = y_.data();
      call.precision = precision;
      return linear_experts(call, team, workspace_);
    }
    const LinearProduct product = product_of(plain);
    LinearCall call = call_of(plain);
    call.products = {&product, 1};
    call.precision = precision;
    linear(call, team, workspace_);
  }

  [[noreturn]] void fail(const std::string& who, double error, double most) const {
    fail_machine(fmt::format("bench: {}, {}: error {:.2e}, allowed {:.2e}; nothing is reported", matrix_.shape().text(),
                             who, error, most));
  }

  void add_ratios(Line& line) {
    const auto others = [&](const auto& wanted) {
      double best = 0;
      for (const Line& other : lines_)
        if (wanted(other) && (best == 0 || seconds(other) < best)) best = seconds(other);
      return best;
    };
    const auto times_faster = [&](double other, bool wanted) {
      return wanted && other > 0 ? Json(four_digits(other / seconds(line))) : Json();
    };
    const bool ours = line.ours;
    const auto ggmls = [&](const Line& other) { return !other.ours && other.threads == line.threads; };
    line.row["vs_ggml"] =
        times_faster(others([&](const Line& other) { return ggmls(other) && other.row["who"] == "ggml"; }), ours);
    line.row["vs_better_ggml"] = times_faster(others(ggmls), ours);
    line.row["vs_one_thread"] = times_faster(others([&](const Line& other) {
                                               return other.threads == 1 && other.row["who"] == line.row["who"] &&
                                                      other.row["target"] == line.row["target"] &&
                                                      other.precision == line.precision;
                                             }),
                                             true);
    line.row["peak_gflop_per_s"] = line.row["share_of_peak"] = nullptr;
    if (!ours || line.peak_entrant < 0) return;
    const double rate = line.operations / rounds_.spread(line.peak_entrant).median;
    line.row["peak_gflop_per_s"] = four_digits(rate * 1e-9);
    line.row["share_of_peak"] = four_digits(matrix_.shape().flop() / seconds(line) / rate);
  }

  Matrix matrix_;
  std::deque<Peer> peers_;
  std::deque<Line> lines_;
  std::vector<float> y_;
  LinearWorkspace workspace_;
  Rounds rounds_;
};

std::vector<MatrixShape> shapes_of(const BenchOptions& options) {
  std::vector<MatrixShape> shapes;
  for (const auto& type : or_else<std::string>(options.types, {"q4_0", "q4_K"})) {
    for (const auto& matrix : or_else<std::string>(options.matrices, {std::begin(kMatrices), std::end(kMatrices)})) {
      for (const Pos n_tokens : or_else<Pos>(options.tokens, {512})) {
        MatrixShape shape = matrix_of(matrix, type);
        shape.n_tokens = n_tokens;
        // K-quants come in blocks of 256; a list of defaults skips what a type cannot be, a wish does not.
        if (shape.dim % ggml_blck_size(shape.type) != 0) {
          if (options.matrices.empty()) continue;
          fail_user(fmt::format("--matrix {}: {} comes in blocks of {}", matrix, type, ggml_blck_size(shape.type)));
        }
        const auto elements = static_cast<double>(shape.dim * shape.n_rows * shape.n_matrices());
        check_memory(elements * 6 + 4.0 * static_cast<double>(n_tokens * 4 * shape.dim +
                                                              3 * shape.n_results() * (shape.n_rows + shape.dim)),
                     shape.text());
        shapes.push_back(shape);
      }
    }
  }
  return shapes;
}

std::string tables_of(const Json& rows) {
  return table_of(rows, {{"type", "type", -5},
                         {"K", "dim", 6},
                         {"M", "n_rows", 6},
                         {"experts", "n_experts", 7},
                         {"used", "n_used", 4},
                         {"tokens", "n_tokens", 6},
                         {"threads", "threads", 7},
                         {"who", "who", -17},
                         {"target", "target", -6},
                         {"prec", "precision", -4},
                         {"ms", "ms", 24, 3},
                         {"GFLOP/s", "gflop_per_s", 7, 0},
                         {"of peak", "share_of_peak", 7},
                         {"x ggml", "vs_ggml", 7},
                         {"x better", "vs_better_ggml", 8},
                         {"x 1 thread", "vs_one_thread", 10},
                         {"error", "error", 8, 5}});
}

}  // namespace

void bench_linear(const BenchOptions& options) {
  check(options);
  const auto shapes = shapes_of(options);
  ggml_log_set([](ggml_log_level, const char*, void*) {}, nullptr);  // it tells of every matrix that it packs
  Session session(options, {.repetitions = kRepetitions});
  for (const std::string& target : session.targets())
    precisions_on(session, options, target);  // say no before the work
  Json rows = Json::array();
  for (const MatrixShape& shape : shapes)
    for (Json& row : Linear(session, options, shape).rows()) rows.push_back(std::move(row));
  if (options.json) return print(session.report("linear", rows).dump(2) + "\n");
  print(session.title("linear") + tables_of(rows));
}

}  // namespace saccade::app
