#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "saccade/attend/look.h"
#include "saccade/oracle/weights.h"
#include "saccade/see/probe.h"
#include "saccade/see/row_probe.h"
#include "tests/support/any_case.h"
#include "tests/support/error_line.h"
#include "tests/support/thorough.h"

// The law of See: a probe's numbers equal the statistic taken from dense fp64 weights, within the one rule of
// oracle/expected.h; batches of a prompt add up to the whole; o and lse do not change a bit. Of a second look: any team
// gives the same bits, in f32 and in bf16. Of the first pass: in every precision.
namespace saccade::testing {

/// A dense map of attention weights, what no engine stores: weights[head][query][key].
template <class T>
struct DenseMap {
  Pos q_begin = 0, q_len = 0, kv_len = 0, n_heads = 0;
  std::vector<T> weights;

  T at(Pos head, Pos query, Pos key) const {
    return weights[static_cast<std::size_t>((head * q_len + query) * kv_len + key)];
  }
  /// Absolute.
  Pos q_pos(Pos query) const { return q_begin + query; }
};

/// `order`: of the products in a dot, and which way a soft-capped score is rounded: all equally plain, as expect_row
/// has them.
template <class T>
DenseMap<T> dense_map(const oracle::Inputs& in, const auto& visible, float softcap, Pos order = 0) {
  DenseMap<T> map{in.q_begin, in.q_len, in.kv_len, in.n_heads, {}};
  Random random(static_cast<std::uint64_t>(order));
  const auto shape = [&](T score) {
    const T shaped = weigh::Softcap{softcap}.shape(score);
    const Pos step = order == 0 || shaped == score ? 0 : random.between(-1, 1);
    return step == 0 ? shaped
                     : std::nextafter(
                           shaped, step < 0 ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::infinity());
  };
  map.weights.reserve(static_cast<std::size_t>(in.n_heads * in.q_len * in.kv_len));
  for (Pos head = 0; head < in.n_heads; ++head) {
    const auto sees = [&](Pos q_pos, Pos k_pos) { return visible(head, q_pos, k_pos); };
    for (Pos i = 0; i < in.q_len; ++i) {
      // The two passes of a plain loop need not add in the same order, nor do those of the engine.
      const T lse = oracle::attend_row<T>(in, i, head, sees, shape, order + 1).lse;
      const std::vector<T> row = oracle::weights_row<T>(in, i, head, sees, shape, lse, order);
      map.weights.insert(map.weights.end(), row.begin(), row.end());
    }
  }
  return map;
}

/// What attention in bf16 takes off the keys of a case.
inline std::vector<float> centres_in_bf16(const Problem& problem) {
  AttendCase c = problem.c;
  c.precision = Precision::kBf16;
  return Problem(c).centres();
}

/// A row of a plain loop that rounds what the precision rounds (oracle/fixed.h, oracle/bf16.h).
inline oracle::Row<double> rounded_row(const oracle::Inputs& in, Pos i, Pos head, const auto& visible, float softcap,
                                       Precision precision, std::span<const float> centres) {
  const auto shape = [&](auto score) { return weigh::Softcap{softcap}.shape(score); };
  const auto sees = [&](Pos q_pos, Pos k_pos) { return visible(head, q_pos, k_pos); };
  return precision == Precision::kBf16 ? oracle::attend_row_bf16(in, i, head, sees, shape, centres)
                                       : oracle::attend_row_fixed(in, i, head, sees);
}

/// Its map.
inline DenseMap<float> rounded_map(const oracle::Inputs& in, const auto& visible, float softcap, Precision precision,
                                   std::span<const float> centres) {
  DenseMap<float> map{in.q_begin, in.q_len, in.kv_len, in.n_heads, {}};
  map.weights.resize(static_cast<std::size_t>(in.n_heads * in.q_len * in.kv_len), 0.0F);
  for (Pos head = 0; head < in.n_heads; ++head) {
    for (Pos i = 0; i < in.q_len; ++i) {
      const oracle::Row<double> row = rounded_row(in, i, head, visible, softcap, precision, centres);
      for (std::size_t n = 0; n < row.weights.size(); ++n) {
        const Pos at = (head * in.q_len + i) * in.kv_len + row.seen[n];
        map.weights[static_cast<std::size_t>(at)] = static_cast<float>(row.weights[n]);
      }
    }
  }
  return map;
}

/// What a plain loop in the precision is off by at least, of a number's size.
inline double eps_of(Precision precision) {
  if (precision == Precision::kF32) return std::numeric_limits<float>::epsilon();
  return precision == Precision::kI16 ? 1.0 / 4096 : 1.0 / 256;
}

/// A statistic as numbers in groups that are judged together (the keys of a head, say); `size`: of what is averaged or
/// added up in one of them, as max|v| is for attention.
template <class T>
struct Group {
  std::string name;
  std::vector<T> values;
  double size = 1.0;
};
template <class T>
using Groups = std::vector<Group<T>>;

namespace detail {

inline double error_of(const Group<float>& plain, const Group<double>& exact) {
  double error = 0.0;
  for (std::size_t n = 0; n < exact.values.size(); ++n) {
    error = std::max(error, std::fabs(static_cast<double>(plain.values[n]) - exact.values[n]));
  }
  return error;
}

inline std::string fault_of(const Group<float>& actual, const Group<double>& exact, double plain_error, double eps) {
  const double allowed = 2.0 * plain_error + 4.0 * eps * exact.size;
  if (actual.values.size() != exact.values.size()) {
    return actual.name + ": " + std::to_string(actual.values.size()) + " values, expected " +
           std::to_string(exact.values.size());
  }
  for (std::size_t n = 0; n < exact.values.size(); ++n) {
    if (oracle::is_allowed(static_cast<double>(actual.values[n]), exact.values[n], allowed)) continue;
    return actual.name + "[" + std::to_string(n) + "]: expected " + oracle::detail::text_of(exact.values[n]) +
           ", got " + oracle::detail::text_of(static_cast<double>(actual.values[n])) + ", allowed " +
           oracle::detail::text_of(allowed);
  }
  return "";
}

}  // namespace detail

/// Judges numbers by the one rule. `define(map)` returns the statistic of a dense map of doubles or floats;
/// `map_of(order)` makes the plain map; `eps`: of the precision.
inline ::testing::AssertionResult judge_statistic(const Groups<float>& actual, const DenseMap<double>& exact_map,
                                                  const auto& map_of, const auto& define,
                                                  double eps = std::numeric_limits<float>::epsilon()) {
  constexpr Pos kOrders = 64;
  const Groups<double> exact = define(exact_map);
  if (actual.size() != exact.size()) return ::testing::AssertionFailure() << "groups of numbers are missing";
  std::vector<double> errors(exact.size(), 0.0);
  for (Pos order = 0; order < kOrders; ++order) {
    const Groups<float> plain = define(map_of(order));
    std::string fault;
    for (std::size_t g = 0; g < exact.size(); ++g) {
      errors[g] = std::max(errors[g], detail::error_of(plain[g], exact[g]));
      if (fault.empty()) fault = detail::fault_of(actual[g], exact[g], errors[g], eps);
    }
    if (fault.empty()) return ::testing::AssertionSuccess();
    if (order + 1 == kOrders) return ::testing::AssertionFailure() << fault;
  }
  return ::testing::AssertionSuccess();
}

/// Calls `body(call, out, first query)` for batches of `batch` queries of the case.
inline void in_batches(const Problem& problem, Pos batch, const auto& body) {
  for (Pos begin = 0; begin < problem.c.q_len; begin += batch) {
    Output out = problem.output();
    std::vector<const Where*> where;
    AttendCall call = problem.call(out, where);
    const Pos n = std::min(batch, problem.c.q_len - begin);
    call.q.data = call.q.row(begin, 0);
    call.o.data = call.o.row(begin, 0);
    call.q.len = call.o.len = n;
    call.lse = out.lse() + begin * call.q.n_heads;
    if (call.bias.data) call.bias.data = call.bias.row(begin);
    call.q_begin += begin;
    body(call, out, begin);
  }
}

/// Attention of the case and then a look by the team, in batches of `batch` queries.
inline void look_at(const Problem& problem, Team& team, Pos batch, std::span<Probe* const> probes) {
  in_batches(problem, batch, [&](const AttendCall& call, const Output& out, Pos begin) {
    attend(call, team_of(problem.c.team), used_workspace());  // whose bits do depend on the team
    const std::vector<float> o_before(out.o(begin, 0).begin(), out.o(begin, 0).end());
    look(call, call.lse, probes, team, used_workspace());
    ASSERT_TRUE(std::ranges::equal(o_before, out.o(begin, 0)));
  });
}

/// Attention of the case by the team, with probes and without, in batches of `batch` queries: the same bits.
inline void attend_with(const Problem& problem, Team& team, Pos batch, std::span<RowProbe* const> probes) {
  const auto bits = [](std::span<const float> numbers) {
    std::vector<std::uint32_t> bits(numbers.size());
    std::ranges::transform(numbers, bits.begin(), [](float x) { return std::bit_cast<std::uint32_t>(x); });
    return bits;
  };
  in_batches(problem, batch, [&](AttendCall call, const Output& out, Pos begin) {
    const auto all = [&] {
      std::vector<std::uint32_t> all = bits({call.lse, static_cast<std::size_t>(call.q.len * call.q.n_heads)});
      for (Pos i = begin; i < begin + call.q.len; ++i) {
        for (Pos head = 0; head < call.q.n_heads; ++head) {
          const std::vector<std::uint32_t> row = bits(out.o(i, head));
          all.insert(all.end(), row.begin(), row.end());
        }
      }
      return all;
    };
    attend(call, team, used_workspace());
    const std::vector<std::uint32_t> before = all();
    call.probes = probes;
    attend(call, team, used_workspace());
    ASSERT_EQ(all(), before) << "probes changed what attention computes";
  });
}

/// Cases that bite: lengths around blocks, groups of 1 and 7, caps, biases, sinks, sparse patterns, rows that see
/// nothing.
inline std::vector<AttendCase> see_cases() {
  std::vector<AttendCase> cases;
  for (Pos seed = 1; seed <= thinned(14); ++seed) {
    AttendCase c = any_case(static_cast<std::uint64_t>(seed));
    c.kv_len = std::min<Pos>(c.kv_len, 331);
    c.n_heads = c.n_kv_heads * std::min<Pos>(c.n_heads / c.n_kv_heads, 3);
    c.head_dim = std::min<Pos>(c.head_dim, 128);
    c.gain = std::min(c.gain, 4.0F);
    cases.push_back(c);
  }
  cases.push_back({.seed = 31, .q_len = 201, .kv_len = 201, .n_heads = 3, .n_kv_heads = 1, .head_dim = 32});
  cases.push_back({.seed = 32, .q_len = 130, .kv_len = 130, .n_heads = 2, .n_kv_heads = 2, .gain = 4.0F});
  AttendCase biased{.seed = 33, .q_len = 70, .kv_len = 150, .bias_type = DType::f16, .bias_keys = {20, 140}};
  biased.slopes = true;
  cases.push_back(biased);
  AttendCase hundreds{.seed = 34, .q_len = 140, .kv_len = 300};
  use(hundreds, patterns()[7]);
  cases.push_back(hundreds);
  AttendCase none{.seed = 35, .q_len = 9, .kv_len = 64};
  use(none, patterns()[11]);
  cases.push_back(none);
  // Keys in splits, for few rows and for tiles.
  cases.push_back({.seed = 37, .kv_len = 1500, .n_heads = 6, .n_kv_heads = 2, .gain = 4.0F, .team = 3});
  cases.push_back({.seed = 38, .q_len = 12, .kv_len = 1100, .n_heads = 5, .n_kv_heads = 1, .gain = 4.0F, .team = 3});
  // Blocks that all rows see, and that items share: in bf16 two to a visit.
  cases.push_back({.seed = 39, .q_len = 130, .kv_len = 1030, .n_heads = 2, .n_kv_heads = 1, .gain = 4.0F});
  AttendCase negative{.seed = 36, .q_len = 65, .kv_len = 129, .scale = -0.2F};
  cases.push_back(negative);
  return cases;
}

/// The maps of some inputs, the plain ones made when first asked for.
class Maps {
 public:
  using Visible = std::function<bool(Pos head, Pos q_pos, Pos k_pos)>;

  /// `centres`: of attention in bf16. Borrows `in`.
  Maps(const oracle::Inputs& in, Visible visible, float softcap, std::function<std::vector<float>()> centres)
      : exact(dense_map<double>(in, visible, softcap)),
        in_(in),
        visible_(std::move(visible)),
        softcap_(softcap),
        centres_(std::move(centres)) {}

  const DenseMap<float>& plain(Pos order) const {
    auto& map = plain_[order];
    if (map.weights.empty()) map = dense_map<float>(in_, visible_, softcap_, order);
    return map;
  }
  /// Taken off keys before they are rounded to bf16.
  const std::vector<float>& centres() const {
    if (!known_centres_) known_centres_ = centres_();
    return *known_centres_;
  }
  /// Of a loop in i16 or bf16.
  const DenseMap<float>& rounded(Precision precision) const {
    auto& map = rounded_[precision];
    if (!map.weights.empty()) return map;
    const std::span<const float> none;
    return map = rounded_map(in_, visible_, softcap_, precision, precision == Precision::kBf16 ? centres() : none);
  }
  /// Plain maps in the precision, the one that rounds first.
  const DenseMap<float>& plain(Precision precision, Pos order) const {
    if (precision == Precision::kF32) return plain(order);
    return order == 0 ? rounded(precision) : plain(order - 1);
  }

  DenseMap<double> exact;

 private:
  const oracle::Inputs& in_;
  Visible visible_;
  float softcap_;
  std::function<std::vector<float>()> centres_;
  mutable std::optional<std::vector<float>> known_centres_;
  mutable std::map<Pos, DenseMap<float>> plain_;
  mutable std::map<Precision, DenseMap<float>> rounded_;
};

/// A case's problem and its maps.
struct MappedProblem {
  explicit MappedProblem(const AttendCase& c)
      : problem(c),
        maps(
            problem.in, [this](Pos head, Pos q_pos, Pos k_pos) { return problem.where(head).admits(q_pos, k_pos); },
            c.softcap, [this] { return centres_in_bf16(problem); }) {}
  MappedProblem(const MappedProblem&) = delete;
  MappedProblem& operator=(const MappedProblem&) = delete;

  Problem problem;
  Maps maps;
};

/// Made once a program.
inline const std::vector<std::unique_ptr<MappedProblem>>& see_problems() {
  static const auto all = [] {
    std::vector<std::unique_ptr<MappedProblem>> problems;
    for (const AttendCase& c : see_cases()) problems.push_back(std::make_unique<MappedProblem>(c));
    return problems;
  }();
  return all;
}

/// Can the machine run a case in i16 or bf16, and does it, or in f32?
inline bool runs_rounded(const AttendCase& c, Precision precision) {
  if (precision == Precision::kBf16) return kernel::has_bf16();
  return kernel::has_fixed() && c.softcap == 0 && !c.bias_type;
}

/// The law of a second look in bf16, for one probe: what it says is judged as attention in bf16 is, and any team and
/// both matrix units say the same.
inline void check_rounded_look_law(const MappedProblem& mapped, const auto& make, const auto& define,
                                   const auto& read) {
  AttendCase c = mapped.problem.c;
  if (!runs_rounded(c, Precision::kBf16)) return;
  c.precision = Precision::kBf16;
  const Problem problem(c);
  const auto run = [&](int team, Pos batch) {
    auto probe = make();
    Probe* const probes[] = {&probe};
    look_at(problem, team_of(team), batch, probes);
    return read(probe, problem);
  };
  const auto plain = [&](Pos order) -> const DenseMap<float>& { return mapped.maps.plain(c.precision, order); };
  const Groups<float> whole = run(c.team, c.q_len);
  ASSERT_TRUE(judge_statistic(whole, mapped.maps.exact, plain, define, eps_of(c.precision))) << c;
  ASSERT_TRUE(judge_statistic(run(c.team, 37), mapped.maps.exact, plain, define, eps_of(c.precision)))
      << "batches of 37 of " << c;
  const Groups<float> again = run(c.team == 1 ? 3 : 1, c.q_len);
  for (std::size_t g = 0; g < whole.size(); ++g) ASSERT_EQ(again[g].values, whole[g].values) << whole[g].name << c;
}

/// The law of a second look, for one probe. `make()` returns a probe; `define(map)` the statistic of a dense map of T
/// as Groups<T>; `read(probe, problem)` the probe's numbers in the same groups.
inline void check_look_law(const auto& make, const auto& define, const auto& read) {
  for (const auto& mapped : see_problems()) {
    const Problem& problem = mapped->problem;
    const AttendCase& c = problem.c;
    const DenseMap<double>& exact = mapped->maps.exact;
    const auto plain = [&](Pos order) -> const DenseMap<float>& { return mapped->maps.plain(order); };
    const auto run = [&](int team, Pos batch) {
      auto probe = make();
      Probe* const probes[] = {&probe};
      look_at(problem, team_of(team), batch, probes);
      return read(probe, problem);
    };
    on_every_target([&](const std::string&) {
      const Groups<float> whole = run(c.team, c.q_len);
      ASSERT_TRUE(judge_statistic(whole, exact, plain, define)) << c;
      for (const Pos batch : {Pos{1}, Pos{64}, Pos{37}}) {
        if (batch == 1 && c.q_len > 20) continue;
        ASSERT_TRUE(judge_statistic(run(c.team, batch), exact, plain, define)) << "batches of " << batch << " of " << c;
      }
      for (const int team : {1, 3}) {
        const Groups<float> again = run(team, c.q_len);
        for (std::size_t g = 0; g < whole.size(); ++g) {
          ASSERT_EQ(again[g].values, whole[g].values) << "team of " << team << ", " << whole[g].name << " of " << c;
        }
      }
      check_rounded_look_law(*mapped, make, define, read);
    });
  }
}

/// The law of the first pass in i16 and bf16, for one probe.
inline void check_rounded_row_law(const MappedProblem& mapped, Precision precision, const auto& make,
                                  const auto& define, const auto& read) {
  AttendCase c = mapped.problem.c;
  if (!runs_rounded(c, precision)) return;
  c.precision = precision;
  const Problem problem(c);
  auto probe = make();
  RowProbe* const probes[] = {&probe};
  attend_with(problem, team_of(c.team), c.q_len, probes);
  const auto plain = [&](Pos order) -> const DenseMap<float>& { return mapped.maps.plain(precision, order); };
  ASSERT_TRUE(judge_statistic(read(probe, problem), mapped.maps.exact, plain, define, eps_of(precision))) << c;
}

/// The law of the first pass, for one probe, whose definition is the same.
inline void check_row_law(const auto& make, const auto& define, const auto& read) {
  for (const auto& mapped : see_problems()) {
    const Problem& problem = mapped->problem;
    const AttendCase& c = problem.c;
    const auto plain = [&](Pos order) -> const DenseMap<float>& { return mapped->maps.plain(order); };
    const auto check = [&](int team, Pos batch) {
      auto probe = make();
      RowProbe* const probes[] = {&probe};
      attend_with(problem, team_of(team), batch, probes);
      ASSERT_TRUE(judge_statistic(read(probe, problem), mapped->maps.exact, plain, define))
          << "first pass in batches of " << batch << " by a team of " << team << " of " << c;
    };
    on_every_target([&](const std::string&) {
      check(c.team, c.q_len);
      check(c.team == 1 ? 3 : 1, 37);
      for (const Precision precision : {Precision::kI16, Precision::kBf16}) {
        check_rounded_row_law(*mapped, precision, make, define, read);
      }
    });
  }
}

/// The law of every pass that the probe takes part in.
inline void check_see_law(const auto& make, const auto& define, const auto& read) {
  using P = decltype(make());
  if constexpr (std::is_base_of_v<Probe, P>) check_look_law(make, define, read);
  if constexpr (std::is_base_of_v<RowProbe, P>) check_row_law(make, define, read);
}

/// Shows a map that was written down, as look() would show it.
inline void show_map(const DenseMap<float>& map, Probe& probe) {
  const Range all{map.q_begin, map.q_begin + map.q_len};
  probe.begin({.q_positions = all, .kv_len = map.kv_len, .n_heads = static_cast<int>(map.n_heads), .n_workers = 1});
  const LookPatch patch{all, {0, map.kv_len}};
  probe.start(patch);
  for (Pos head = 0; head < map.n_heads; ++head) {
    for (Pos i = 0; i < map.q_len; i += WeightTile::kMostQueries) {
      for (Pos j = 0; j < map.kv_len; j += WeightTile::kMostKeys) {
        WeightTile tile{.head = static_cast<int>(head), .row_stride = WeightTile::kMostKeys};
        tile.q_positions = {map.q_pos(i), map.q_pos(std::min(i + WeightTile::kMostQueries, map.q_len))};
        tile.k_positions = {j, std::min(j + WeightTile::kMostKeys, map.kv_len)};
        std::vector<float> weights(WeightTile::kMostQueries * WeightTile::kMostKeys, 0.0F), sums(64), log_sums(64),
            column_sums(WeightTile::kMostKeys);
        for (Pos row = 0; row < tile.n_queries(); ++row) {
          for (Pos key = 0; key < tile.n_keys(); ++key) {
            const float weight = map.at(head, i + row, j + key);
            const auto at = static_cast<std::size_t>(row * tile.row_stride + key);
            weights[at] = weight;
            sums[static_cast<std::size_t>(row)] += weight, column_sums[static_cast<std::size_t>(key)] += weight;
            log_sums[static_cast<std::size_t>(row)] += weight > 0 ? weight * std::log2(weight) : 0.0F;
          }
        }
        tile.weights = weights.data(), tile.row_sums = sums.data(), tile.row_log_sums = log_sums.data();
        tile.column_sums = column_sums.data();
        probe.observe(tile);
      }
    }
  }
  probe.finish(patch, team_of(1));
}

/// Groups of a statistic with one number a query and head: `value(map, head, query)`, judged head by head.
template <class T>
Groups<T> per_row_groups(const DenseMap<T>& map, double size, const auto& value) {
  Groups<T> groups;
  for (Pos head = 0; head < map.n_heads; ++head) {
    Group<T> group{"head " + std::to_string(head), {}, size};
    for (Pos i = 0; i < map.q_len; ++i) {
      for (const T number : value(map, head, i)) group.values.push_back(number);
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

/// Groups of a statistic with one number a key and head, the sum over the queries of `term(map, head, query, key)`.
template <class T>
Groups<T> per_key_groups(const DenseMap<T>& map, const auto& term) {
  Groups<T> groups;
  for (Pos head = 0; head < map.n_heads; ++head) {
    Group<T> group{"head " + std::to_string(head), {}};
    for (Pos j = 0; j < map.kv_len; ++j) {
      T sum = 0;
      for (Pos i = 0; i < map.q_len; ++i) sum += term(map, head, i, j);
      group.values.push_back(sum);
      group.size = std::max(group.size, static_cast<double>(sum));
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

/// What a probe keeps for each head, in the same groups.
inline Groups<float> groups_of(const auto& kept) {
  Groups<float> groups;
  for (int head = 0; head < kept.n_heads(); ++head) {
    const auto values = kept.head(head);
    groups.push_back({"head " + std::to_string(head), {values.begin(), values.end()}});
  }
  return groups;
}

}  // namespace saccade::testing
