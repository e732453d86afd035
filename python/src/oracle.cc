#include <nanobind/nanobind.h>

#include <algorithm>
#include <limits>
#include <tuple>
#include <vector>

#include "python/src/arrays.h"
#include "python/src/bind.h"
#include "python/src/call.h"
#include "python/src/def_call.h"
#include "python/src/engine.h"
#include "python/src/output.h"
#include "python/src/round.h"
#include "saccade/oracle/attention.h"
#include "saccade/plan/planned.h"
#include "saccade/weigh/softcap.h"
#include "saccade/where/parts/parallel.h"
#include "saccade/where/parts/stoppable_team.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace saccade::python {
namespace {

std::vector<float> decoded(const View& view) {
  std::vector<float> all;
  all.reserve(static_cast<std::size_t>(view.len * view.n_heads * view.dim));
  const auto step = static_cast<std::ptrdiff_t>(row_bytes(view.dtype, 1));
  for (Pos i = 0; i < view.len; ++i) {
    for (Pos head = 0; head < view.n_heads; ++head) {
      for (Pos c = 0; c < view.dim; ++c) all.push_back(read_float(view.dtype, view.row(i, head) + c * step));
    }
  }
  return all;
}

/// What the definition reads of a call.
oracle::Inputs inputs_of(const AttendCall& call) {
  oracle::Inputs in;
  in.q_len = call.q.len, in.kv_len = call.k.len, in.n_heads = call.q.n_heads, in.n_kv_heads = call.k.n_heads;
  in.head_dim = call.q.dim, in.head_dim_v = call.v.dim;
  in.q = decoded(call.q), in.k = decoded(call.k), in.v = decoded(call.v);
  in.kv_head.assign(call.kv_head.begin(), call.kv_head.end());
  for (Pos head = static_cast<Pos>(in.kv_head.size()); head < in.n_heads; ++head) {
    in.kv_head.push_back(static_cast<int>(head * in.n_kv_heads / in.n_heads));
  }
  const auto step = static_cast<std::ptrdiff_t>(row_bytes(call.bias.dtype, 1));
  for (Pos i = 0; i < in.q_len && call.bias.data != nullptr; ++i) {
    for (Pos j = 0; j < in.kv_len; ++j) in.bias.push_back(read_float(call.bias.dtype, call.bias.row(i) + j * step));
  }
  in.slopes.assign(call.slopes.begin(), call.slopes.end());
  in.sink_scores.assign(call.sink_scores.begin(), call.sink_scores.end());
  in.scale = call.scale;
  in.q_begin = call.q_begin;
  return in;
}

/// The same for a head that is uniform: every score is 0, and there is no sink score.
oracle::Inputs made_uniform(oracle::Inputs in) {
  constexpr float kHidden = -std::numeric_limits<float>::infinity();
  in.scale = 0.0F;
  in.sink_scores.clear();
  for (float& bias : in.bias) bias = bias == kHidden ? kHidden : 0.0F;
  return in;
}

/// Where the definition's results go: [rows, n_heads, dim] and [rows, n_heads].
struct Result {
  double* o;
  double* lse;
  Pos n_heads, dim;
};

/// Rows of one part of a sequence, by definition, on what its heads choose.
void attend_part(const Plan& plan, const PlannedCall& part, const Result& result, Pos first_row, Team& team) {
  const AttendCall& call = part.attend;
  const bool given = !call.where.empty();
  const Selection chosen = given ? Selection{} : choose(plan, part, team);
  const auto where_of = [&](Pos head) {
    const auto h = static_cast<std::size_t>(head);
    return given ? call.where[call.where.size() == 1 ? 0 : h] : chosen.of_head[h].get();
  };
  const oracle::Inputs plain = inputs_of(call), uniform = made_uniform(plain);
  std::vector<int> numbers(part.heads.begin(), part.heads.end());
  for (int head = static_cast<int>(numbers.size()); head < call.q.n_heads; ++head) numbers.push_back(head);
  const std::vector<HeadEdit> edits = plan.edits(part.layer, numbers);
  const auto shape = [&](double score) { return weigh::Softcap{call.softcap}.shape(score); };
  StoppableTeam stoppable(team, part.stop, "oracle.attend: stopped by the caller");
  parallel_for_or_throw(stoppable, plain.q_len * plain.n_heads, [&](Pos n) {
    const Pos i = n / plain.n_heads, head = n % plain.n_heads;
    const HeadEdit edit = edits.empty() ? HeadEdit{} : edits[static_cast<std::size_t>(head)];
    const oracle::Inputs& in = edit.uniform ? uniform : plain;
    const Where* const where = where_of(head);
    const auto visible = [&](Pos q_pos, Pos k_pos) {
      if (!part.causal) return !given || where->admits(q_pos, k_pos);
      return k_pos <= q_pos && where->admits(q_pos, k_pos);
    };
    const oracle::Row<double> row = oracle::attend_row<double>(in, i, head, visible, shape);
    const Pos to = (first_row + i) * result.n_heads + numbers[static_cast<std::size_t>(head)];
    for (std::size_t c = 0; c < row.o.size(); ++c) {
      result.o[to * result.dim + static_cast<Pos>(c)] = edit.gain == 0.0F ? 0.0 : double{edit.gain} * row.o[c];
    }
    result.lse[to] = row.lse;
  });
}

void attend_all(Call& call, const Result& result, Team& team, Interrupt& interrupt) {
  std::vector<float> o, lse;
  for (Pos i = 0; i < call.batch.size(); ++i) {
    PlannedCall planned = call.sequence(i);
    planned.stop = [&interrupt] { return interrupt.asked(); };
    AttendCall& attend = planned.attend;
    // Rows that stand before every key are filled in here, in f32, which has room for a zero and a sink score.
    const Pos q_len = attend.q.len;
    o.assign(static_cast<std::size_t>(q_len * result.n_heads * result.dim), 0.0F);
    lse.assign(static_cast<std::size_t>(q_len * result.n_heads), 0.0F);
    attend.o = packed_o(o.data(), attend);
    attend.lse = lse.data();
    const Pos first = call.batch.first_row(i);
    std::fill_n(result.o + first * result.n_heads * result.dim, o.size(), 0.0);
    call.run_parts(planned, i, [&](const PlannedCall& part) {
      attend_part(*call.attn.plan, part, result, first + q_len - part.attend.q.len, team);
    });
    if (q_len <= attend.k.len) continue;
    const Pos n_before = q_len - attend.k.len;
    for (Pos n = 0; n < n_before * result.n_heads && call.skips_rows_before_keys(); ++n) {
      result.lse[first * result.n_heads + n] = static_cast<double>(lse[static_cast<std::size_t>(n)]);
    }
  }
}

nb::object attend(Given given, nb::handle v) {
  given.batch.v = v;
  Call call("oracle.attend: ", given);
  nb::object o = new_array(given.batch.q, call.batch.shape_like_q(call.batch.head_dim_v()), "float64");
  nb::object lse = new_array(given.batch.q, call.batch.shape_like_q(-1), "float64");
  const auto data = [](nb::handle array) {
    return reinterpret_cast<double*>(const_cast<std::byte*>(Array(array, "oracle: result").data()));
  };
  const Result result{data(o), data(lse), call.batch.n_heads(), call.batch.head_dim_v()};
  run_interruptibly([&](Engine& engine, Interrupt& interrupt) { attend_all(call, result, engine.team(), interrupt); });
  return nb::make_tuple(o, lse);
}

using Doubles = nb::ndarray<const double, nb::numpy, nb::c_contig, nb::device::cpu>;

/// oracle::merge_rows, row by row, into arrays of the same shapes.
void merge(const Doubles& o_a, const Doubles& lse_a, const Doubles& o_b, const Doubles& lse_b,
           const nb::ndarray<double, nb::numpy, nb::c_contig>& o,
           const nb::ndarray<double, nb::numpy, nb::c_contig>& lse) {
  const std::size_t dim = lse.size() == 0 ? 0 : o.size() / lse.size();
  for (std::size_t row = 0; row < lse.size(); ++row) {
    const auto read = [&](const Doubles& from, const Doubles& from_lse) {
      const double* const at = from.data() + row * dim;
      return oracle::Row<double>{{at, at + dim}, from_lse.data()[row], {}};
    };
    const oracle::Row<double> merged = oracle::merge_rows(read(o_a, lse_a), read(o_b, lse_b));
    std::copy(merged.o.begin(), merged.o.end(), o.data() + row * dim);
    lse.data()[row] = merged.lse;
  }
}

}  // namespace

void bind_oracle(nb::module_& m) {
  def_call(
      m, "oracle_attend", &attend, std::tuple("q"_a.none(), "k"_a.none(), "v"_a.none(), "attn"_a = "dense"),
      {"q: typing.Any, k: typing.Any, v: typing.Any, attn: typing.Any = 'dense'", "", "tuple[typing.Any, typing.Any]"},
      R"(The definition of attend(), in fp64, on what its heads choose: (o, lse), both f64.

Takes what attend() takes; storage is decoded without rounding first. Cost: every pair of every row, one after the
other; Ctrl-C ends it soon.)");
  m.def("oracle_merge", &merge, "o_a"_a, "lse_a"_a, "o_b"_a, "lse_b"_a, "o"_a, "lse"_a,
        "The definition of merge(), in fp64, into o and lse; saccade.oracle.merge checks and makes the arrays.");
}

}  // namespace saccade::python
