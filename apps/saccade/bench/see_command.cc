#include <fmt/format.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apps/saccade/bench/law.h"
#include "apps/saccade/bench/layers.h"
#include "apps/saccade/bench/options.h"
#include "apps/saccade/bench/rounds.h"
#include "apps/saccade/bench/session.h"
#include "apps/saccade/output.h"
#include "saccade/attend/look.h"
#include "saccade/base/error.h"
#include "saccade/kernel/targets.h"
#include "saccade/oracle/bf16.h"
#include "saccade/oracle/weights.h"
#include "saccade/see/band_sums.h"
#include "saccade/see/block_sums.h"
#include "saccade/see/class_masses.h"
#include "saccade/see/column_sums.h"
#include "saccade/see/diagonals.h"
#include "saccade/see/distance.h"
#include "saccade/see/entropy.h"
#include "saccade/see/norms.h"
#include "saccade/see/peaks.h"
#include "saccade/see/rows.h"
#include "saccade/see/top_keys.h"
#include "saccade/where/dense.h"

namespace saccade::app {
namespace {

constexpr std::int64_t kRepetitions = 5;

using Probes = std::vector<std::unique_ptr<Probe>>;
struct NamedProbes {
  std::string name;
  std::function<void(const Shape&, Probes&)> add;
  bool variant = false;  ///< of another that is there: not among "all"
};

using RowProbes = std::vector<std::unique_ptr<RowProbe>>;
struct NamedRowProbes {
  std::string name;
  std::function<void(const Shape&, RowProbes&)> add;
};

template <class Some, class P>
P& add(Some& probes, P probe) {
  auto owned = std::make_unique<P>(std::move(probe));
  P& added = *owned;
  probes.push_back(std::move(owned));
  return added;
}

void add_block_sums(const Shape& shape, Pos n, Probes& probes) {
  auto& blocks = add(probes, see::BlockSums());
  blocks.n = n;
  blocks.text_len = shape.kv_len;
}

/// The rows of the sampled queries: what the law is held against.
see::Rows& add_rows(const Shape& shape, Probes& probes) {
  auto& rows = add(probes, see::Rows());
  rows.queries = {shape.q_begin(), shape.q_begin() + shape.q_len / 2, shape.kv_len - 1};
  return rows;
}

std::vector<see::ClassMasses::Span> some_spans(const Shape& shape) {
  return {{"begin", {0, 4}}, {"text", {4, shape.kv_len / 2}}, {"rest", {shape.kv_len / 2, shape.kv_len}}};
}

std::vector<Pos> some_offsets() { return {0, 1, 100}; }

/// What attention itself can tell, each and all of them.
const std::vector<NamedRowProbes>& each_row_probe() {
  static const std::vector<NamedRowProbes> all = [] {
    std::vector<NamedRowProbes> some = {
        {"class_masses",
         [](const Shape& shape, RowProbes& probes) { add(probes, see::ClassMasses()).spans = some_spans(shape); }},
        {"diagonals", [](const Shape&, RowProbes& probes) { add(probes, see::Diagonals()).offsets = some_offsets(); }},
        {"distance", [](const Shape&, RowProbes& probes) { add(probes, see::Distance()); }},
        {"entropy", [](const Shape&, RowProbes& probes) { add(probes, see::Entropy()); }},
        {"norms", [](const Shape&, RowProbes& probes) { add(probes, see::Norms()); }},
        {"peaks", [](const Shape&, RowProbes& probes) { add(probes, see::Peaks()); }},
        {"top_keys(per_head)", [](const Shape&, RowProbes& probes) { add(probes, see::TopKeys()).per_head = true; }},
    };
    some.push_back({"all", [each = some](const Shape& shape, RowProbes& probes) {
                      for (const NamedRowProbes& one : each) one.add(shape, probes);
                    }});
    return some;
  }();
  return all;
}

const std::vector<NamedProbes>& each_probe() {
  static const std::vector<NamedProbes> all = {
      {"band_sums", [](const Shape&, Probes& probes) { add(probes, see::BandSums()); }},
      {"block_sums(128)", [](const Shape& shape, Probes& probes) { add_block_sums(shape, 128, probes); }},
      {"block_sums(1024)", [](const Shape& shape, Probes& probes) { add_block_sums(shape, 1024, probes); }, true},
      {"class_masses",
       [](const Shape& shape, Probes& probes) { add(probes, see::ClassMasses()).spans = some_spans(shape); }},
      {"column_sums", [](const Shape&, Probes& probes) { add(probes, see::ColumnSums()); }},
      {"diagonals", [](const Shape&, Probes& probes) { add(probes, see::Diagonals()).offsets = some_offsets(); }},
      {"distance", [](const Shape&, Probes& probes) { add(probes, see::Distance()); }},
      {"entropy", [](const Shape&, Probes& probes) { add(probes, see::Entropy()); }},
      {"rows", [](const Shape& shape, Probes& probes) { add_rows(shape, probes); }},
      {"top_keys", [](const Shape&, Probes& probes) { add(probes, see::TopKeys()); }},
      {"top_keys(per_head)", [](const Shape&, Probes& probes) { add(probes, see::TopKeys()).per_head = true; }, true},
  };
  return all;
}

/// Attention, attention that tells probes of its rows, and looks at it: with one probe each and with all of them, timed
/// in turns.
class See {
 public:
  See(Session& session, const Shape& shape)
      : shape_(shape), data_(shape, false), where_(make_where(where::Dense{})), seen_(where_.get()) {
    const auto size = static_cast<std::size_t>(shape.q_len * shape.n_heads);
    o_.resize(size * static_cast<std::size_t>(shape.head_dim));
    lse_.resize(size);
    const std::vector<SampleRow> sampled = sample_rows(data_);
    const Law law(data_, sampled, std::span(&seen_, 1), session.team(session.most_threads()));
    for (const std::string& target : session.targets()) {
      for (const int n_threads : session.threads()) {
        for (const Precision precision : session.precisions(target)) {
          add_attention(session, target, n_threads, precision, law);
          for (const NamedRowProbes& one : each_row_probe()) add_first_pass(session, target, n_threads, precision, one);
        }
        for (const Precision precision : session.precisions(target)) {
          if (precision != Precision::kI16)
            add_looks(session, target, n_threads, precision, sampled);  // that is in f32
        }
      }
    }
    rounds_.measure(session.repetitions(), shape.text());
  }

  Json rows() {
    Json rows = Json::array();
    const auto seconds = [&](const Line& line) { return rounds_.spread(line.entrant).median; };
    for (const Line& line : lines_) {
      const auto same = [&](const std::string& who) {
        for (const Line& other : lines_) {
          if (other.row["who"] == who && other.row["target"] == line.row["target"] &&
              other.row["threads"] == line.row["threads"]) {
            return seconds(other);
          }
        }
        return 0.0;
      };
      Json row = line.row;
      app::add_times(row, rounds_.spread(line.entrant));
      row["of_attend_f32"] = four_digits(seconds(line) / same("attend(f32)"));
      const auto over = [&](double more, const std::string& who) { return Json(four_digits(more / same(who))); };
      row["adds_to_attend"] = line.tells() ? Json(four_digits(seconds(line) / same(line.without) - 1.0)) : Json();
      row["of_attend"] = line.looks() ? over(seconds(line), line.attends) : Json();
      row["adds_to_attend_f32"] = line.looks() ? over(seconds(line) - same(line.without), "attend(f32)") : Json();
      rows.push_back(std::move(row));
    }
    return rows;
  }

 private:
  struct Line {
    Json row;
    int entrant;
    std::string without;  // who does the same without a probe; empty: it has none itself
    std::string attends;  // of a look: who attends in its numbers; else empty

    bool looks() const { return !attends.empty(); }
    bool tells() const { return !looks() && !without.empty(); }
  };

  AttendCall call(Precision precision) {
    AttendCall call;
    call.q = data_.q_view();
    call.k = data_.k_view(0);
    call.v = data_.v_view(0);
    const auto row = static_cast<std::ptrdiff_t>(shape_.head_dim * static_cast<Pos>(sizeof(float)));
    call.o = {o_.data(), shape_.q_len, shape_.n_heads, shape_.head_dim, row * shape_.n_heads, row};
    call.lse = lse_.data();
    call.where = {&seen_, 1};
    call.scale = shape_.scale();
    call.q_begin = shape_.q_begin();
    call.precision = precision;
    return call;
  }

  void add_line(const std::string& who, const std::string& target, int n_threads, int entrant,
                const std::string& without = "", const std::string& attends = "") {
    lines_.push_back({{{"head_dim", shape_.head_dim},
                       {"kv_len", shape_.kv_len},
                       {"q_len", shape_.q_len},
                       {"n_heads", shape_.n_heads},
                       {"n_kv_heads", shape_.n_kv_heads},
                       {"type", ggml_type_name(shape_.type)},
                       {"threads", n_threads},
                       {"who", who},
                       {"target", target}},
                      entrant,
                      without,
                      attends});
  }

  void add_attention(Session& session, const std::string& target, int n_threads, Precision precision, const Law& law) {
    const std::string who = fmt::format("attend({})", name_of(precision));
    Team& team = session.team(n_threads);
    const auto run = [this, precision, target, &team] {
      if (kernel::chosen_target() != target) kernel::force_target(target);
      attend(call(precision), team, workspace_);
    };
    run();
    law.check(o_, precision, who);
    add_line(who, target, n_threads, rounds_.add(run));
  }

  /// Errors: Fault::kMachine when probes change a bit of o.
  void add_first_pass(Session& session, const std::string& target, int n_threads, Precision precision,
                      const NamedRowProbes& named) {
    Team& team = session.team(n_threads);
    const auto probes = std::make_shared<RowProbes>();
    named.add(shape_, *probes);
    const auto run = [this, target, precision, &team, probes] {
      if (kernel::chosen_target() != target) kernel::force_target(target);
      std::vector<RowProbe*> borrowed;
      for (const auto& probe : *probes) borrowed.push_back(probe.get());
      AttendCall told = call(precision);
      told.probes = borrowed;
      attend(told, team, workspace_);
    };
    if (kernel::chosen_target() != target) kernel::force_target(target);
    attend(call(precision), team, workspace_);
    const std::vector<float> o = o_;
    run();
    if (o_ != o) fail_machine(fmt::format("{} changes o, nothing is reported: {}", named.name, shape_.text()));
    const std::string without = fmt::format("attend({})", name_of(precision));
    add_line(fmt::format("{} {}", without, named.name), target, n_threads, rounds_.add(run), without);
  }

  void add_looks(Session& session, const std::string& target, int n_threads, Precision precision,
                 const std::vector<SampleRow>& sampled) {
    add_look(session, target, n_threads, precision, "nothing", {});
    for (const NamedProbes& one : each_probe()) add_look(session, target, n_threads, precision, one.name, {one});
    std::vector<NamedProbes> all = each_probe();
    std::erase_if(all, [](const NamedProbes& one) { return one.variant; });
    add_look(session, target, n_threads, precision, "all", all, [this, precision, &sampled](const Probes& probes) {
      for (const auto& probe : probes) {
        if (const auto* rows = dynamic_cast<const see::Rows*>(probe.get())) check_rows(*rows, precision, sampled);
      }
    });
  }

  void add_look(Session& session, const std::string& target, int n_threads, Precision precision,
                const std::string& name, const std::vector<NamedProbes>& named,
                const std::function<void(const Probes&)>& check = {}) {
    Team& team = session.team(n_threads);
    // Made once, as for a prompt: memory for what is kept is not what is timed. Each turn adds the same to it.
    const auto probes = std::make_shared<Probes>();
    for (const NamedProbes& one : named) one.add(shape_, *probes);
    const auto run = [this, target, precision, &team, probes] {
      if (kernel::chosen_target() != target) kernel::force_target(target);
      std::vector<Probe*> borrowed;
      for (const auto& probe : *probes) borrowed.push_back(probe.get());
      look(call(precision), lse_.data(), borrowed, team, workspace_);
    };
    if (check) {
      attend(call(precision), team, workspace_);
      run();
      check(*probes);
    }
    const std::string look = precision == Precision::kF32 ? "look " : fmt::format("look({}) ", name_of(precision));
    add_line(look + name, target, n_threads, rounds_.add(run), look + "nothing",
             fmt::format("attend({})", name_of(precision)));
  }

  /// Errors: Fault::kMachine when a sampled row breaks the rule of oracle/expected.h.
  void check_rows(const see::Rows& rows, Precision precision, const std::vector<SampleRow>& sampled) const {
    const auto visible = [](Pos q_pos, Pos k_pos) { return k_pos <= q_pos; };
    const auto plain_score = [](auto score) { return score; };
    for (const SampleRow& sample : sampled) {
      const auto lse = oracle::attend_row<double>(sample.in, 0, 0, visible, plain_score).lse;
      oracle::Expected expected;
      expected.i = sample.i, expected.head = sample.head, expected.size = 1.0;
      expected.exact.o = oracle::weights_row<double>(sample.in, 0, 0, visible, plain_score, lse);
      expected.exact.lse = lse;
      expected.plain = [&](Pos order) {
        const auto other = oracle::attend_row<float>(sample.in, 0, 0, visible, plain_score, order + 1).lse;
        return oracle::Row<float>{
            oracle::weights_row<float>(sample.in, 0, 0, visible, plain_score, other, order), other, {}, {}};
      };
      expected.compare_with(expected.plain(0));
      if (precision == Precision::kBf16) {
        expected.eps = 1.0 / 256;
        oracle::Row<double> rounded = oracle::attend_row_bf16(sample.in, 0, 0, visible, plain_score);
        rounded.o = rounded.weights;  // of the first keys, which are all that a causal row sees
        rounded.o.resize(expected.exact.o.size());
        expected.compare_with(rounded);
      }
      const auto row = rows.row(static_cast<int>(sample.head), shape_.q_begin() + sample.i);
      const std::string fault = oracle::fault_of(expected, row.first(expected.exact.o.size()), nullptr);
      if (!fault.empty()) fail_machine(fmt::format("look is wrong, nothing is reported: {}: {}", shape_.text(), fault));
    }
  }

  Shape shape_;
  Layers data_;
  WherePtr where_;
  const Where* seen_;
  std::vector<float> o_, lse_;
  Workspace workspace_;
  Rounds rounds_;
  std::deque<Line> lines_;
};

std::vector<Shape> shapes_of(const BenchOptions& options) {
  std::vector<Shape> shapes;
  for (const auto& type : or_else<std::string>(options.types, {"f16"})) {
    for (const Pos head_dim : or_else<Pos>(options.head_dims, {64, 128})) {
      for (const Pos kv_len : or_else<Pos>(options.kv_lens, {16384})) {
        shapes.push_back({.head_dim = head_dim,
                          .kv_len = kv_len,
                          .q_len = options.q_len,
                          .n_heads = options.n_heads,
                          .n_kv_heads = options.n_kv_heads,
                          .type = kv_type(type)});
        check(shapes.back());
        check_memory(bench_bytes(shapes.back(), false), shapes.back().text());
      }
    }
  }
  return shapes;
}

}  // namespace

void bench_see(const BenchOptions& options) {
  check(options);
  const auto shapes = shapes_of(options);
  Session session(options, {.repetitions = kRepetitions});
  Json rows = Json::array();
  for (const Shape& shape : shapes)
    for (Json& row : See(session, shape).rows()) rows.push_back(std::move(row));
  if (options.json) return print(session.report("see", rows).dump(2) + "\n");
  print(session.title("see") + table_of(rows, {{"head_dim", "head_dim", 8},
                                               {"type", "type", -5},
                                               {"keys", "kv_len", 7},
                                               {"threads", "threads", 7},
                                               {"who", "who", -30},
                                               {"target", "target", -6},
                                               {"ms", "ms", 26},
                                               {"of f32", "of_attend_f32", 7},
                                               {"adds", "adds_to_attend", 8},
                                               {"of attend", "of_attend", 9},
                                               {"look adds", "adds_to_attend_f32", 9}}));
}

}  // namespace saccade::app
