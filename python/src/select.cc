#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "python/src/bind.h"
#include "python/src/call.h"
#include "python/src/engine.h"
#include "python/src/head_pattern.h"
#include "python/src/owned.h"
#include "saccade/base/error.h"
#include "saccade/plan/planned.h"
#include "saccade/where/parts/scores.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace saccade::python {
namespace {

const char* name_of(Scope scope) {
  switch (scope) {
    case Scope::kQueryHead:
      return "query_head";
    case Scope::kKvHead:
      return "kv_head";
    case Scope::kLayer:
      return "layer";
  }
  return "?";
}

/// What select() found, for each sequence and query head; `attend` takes it as `attn`.
struct Selected : Patterns {
  Selection whole;      ///< of all sequences: scope, lifetime, cost and counts; of_head is empty
  bool packed = false;  ///< the sequences were cut by cu_seqlens, and each has a shape of its own

  int n_heads() const { return static_cast<int>(of_sequence[0].size()); }
  HeadPattern head(int head, int sequence) const {
    if (sequence < 0 || sequence >= static_cast<int>(of_sequence.size()) || head < 0 || head >= n_heads()) {
      fail_user("select: there is no sequence " + std::to_string(sequence) + " with a head " + std::to_string(head));
    }
    const Shape& of = shape(sequence);
    return {of_sequence[static_cast<std::size_t>(sequence)][static_cast<std::size_t>(head)], of.q_positions(),
            of.kv_len};
  }
  /// A number of all sequences, or a tuple with one for each.
  nb::object of_shape(Pos Shape::*number) const {
    if (!packed) return nb::int_(shape(0).*number);
    nb::list all;
    for (const Shape& one : shapes) all.append(one.*number);
    return nb::tuple(all);
  }
};

void add(const Selection& some, Selected& out) {
  const bool first = out.of_sequence.empty();
  out.of_sequence.push_back(some.of_head);
  out.whole.scope = first ? some.scope : std::min(out.whole.scope, some.scope);
  out.whole.lifetime = first ? some.lifetime : std::min(out.whole.lifetime, some.lifetime);
  out.whole.cost += some.cost;
  out.whole.n_dense_by_rule += some.n_dense_by_rule;
  out.whole.n_dense_by_floor += some.n_dense_by_floor;
  out.whole.n_dense_by_cost += some.n_dense_by_cost;
}

/// Errors: ValueError, one line, where a number is none: selectors rank NaN last, and say nothing of it.
void want_no_nan(const std::string& name, const View& view) {
  constexpr Pos kTogether = 256;
  for (Pos head = 0; head < view.n_heads; ++head) {
    for (Pos begin = 0; begin < view.len; begin += kTogether) {
      const Rows rows = load(view, head, {begin, std::min(begin + kTogether, view.len)});
      const auto nan = std::ranges::find_if(rows.values, [](float x) { return std::isnan(x); });
      if (nan == rows.values.end()) continue;
      fail_user("select: " + name + " holds a NaN at row " +
                std::to_string(begin + (nan - rows.values.begin()) / rows.dim) + ", head " + std::to_string(head) +
                "; allow_nan=True chooses all the same");
    }
  }
}

Selected select(const Given& given, bool fallbacks, bool allow_nan) {
  Call call("select: ", given);
  if (call.attn.patterns != nullptr) fail_user("select: attn must name what chooses, got a choice that was made");
  if (call.batch.size() < 1) fail_user("select: there is no sequence to choose for");
  Selected out;
  out.packed = call.batch.packed();
  for (Pos i = 0; i < call.batch.size(); ++i) call.want_whole("select: ", i);
  run_interruptibly([&](Engine& engine, Interrupt& interrupt) {
    for (Pos i = 0; i < call.batch.size() && !interrupt.seen(); ++i) {
      PlannedCall planned = call.sequence(i);
      planned.fallbacks = fallbacks;
      if (!call.batch.has_values()) planned.attend.v = {};  // nobody shall measure with keys
      interrupt.watch(planned);
      if (!allow_nan) want_no_nan("q", planned.attend.q), want_no_nan("k", planned.attend.k);
      out.shapes.push_back({planned.attend.q.len, planned.attend.k.len, planned.attend.q_begin});
      add(choose(*call.attn.plan, planned, engine.team()), out);
    }
  });
  return out;
}

/// A number for each sequence and head.
template <class T>
nb::object of_each_head(const Selected& selected, const auto& number) {
  std::vector<T> all;
  const auto batch = static_cast<int>(selected.of_sequence.size());
  for (int sequence = 0; sequence < batch; ++sequence) {
    for (int head = 0; head < selected.n_heads(); ++head) all.push_back(number(selected.head(head, sequence)));
  }
  return owned_array<T>(std::move(all), {batch, selected.n_heads()});
}

nb::object density(const Selected& selected) {
  return of_each_head<double>(selected, [](const HeadPattern& head) {
    const auto dense =
        static_cast<double>(dense_pairs(head.q_positions.begin, head.q_positions.size(), head.kv_len, 1));
    return dense > 0 ? static_cast<double>(pairs_of(head)) / dense : 0.0;
  });
}

nb::dict cost(const Selected& selected) {
  nb::dict out;
  out["flop"] = selected.whole.cost.flop;
  out["bytes"] = selected.whole.cost.bytes;
  out["heads_dense_by_rule"] = selected.whole.n_dense_by_rule;
  out["heads_dense_by_floor"] = selected.whole.n_dense_by_floor;
  out["heads_dense_by_cost"] = selected.whole.n_dense_by_cost;
  return out;
}

constexpr const char* kSelectDoc =
    R"doc(What `attn` lets each head look at, before any attention runs.

Shapes    q [batch, seq, heads, head_dim]; k [batch, kv_len, n_kv_heads, head_dim]: f32, f16 or bf16. With cu_seqlens
          (and cu_seqlens_k), as for attend: [total, heads, head_dim]
attn      a spec, a Plan, a dict, or an object with a name, as for attend
weigh     as for attend, for selectors that look at scores
scale     multiplies q.k; 1 / sqrt(head_dim) when not given
q_begin   position of the first query; kv_len - seq when not given
v         [batch, kv_len, n_kv_heads, head_dim_v], for a choice that measures with values: `within`
layer     which layer of the plan, and of seeds
fallbacks False: selectors never run dense because a text is short or selecting would not pay
Returns   a Selection, which attend(q, k, v, attn=selection) takes as it is, with the same cu_seqlens
Errors    ValueError, one line, also for a NaN in q or k, unless allow_nan; MemoryError. Ctrl-C ends a long choice soon
Cost      that of the selectors (Selection.cost); patterns cost nothing)doc";

}  // namespace

void bind_select(nb::module_& m) {
  nb::class_<Selected, Patterns>(m, "Selection", "What each head of a call looks at: the answer of `select`.")
      .def_prop_ro(
          "q_begin", [](const Selected& all) { return all.of_shape(&Patterns::Shape::q_begin); },
          "position of the first query; where cu_seqlens cut the sequences, a tuple with that of each")
      .def_prop_ro(
          "q_len", [](const Selected& all) { return all.of_shape(&Patterns::Shape::q_len); }, "queries, likewise")
      .def_prop_ro(
          "kv_len", [](const Selected& all) { return all.of_shape(&Patterns::Shape::kv_len); }, "keys, likewise")
      .def_prop_ro(
          "batch", [](const Selected& all) { return all.of_sequence.size(); }, "sequences")
      .def_prop_ro("heads", &Selected::n_heads, "query heads")
      .def_prop_ro(
          "scope", [](const Selected& all) { return name_of(all.whole.scope); },
          "'query_head': each has a choice of its own; 'kv_head': those that read one KV head share it; 'layer': all "
          "do")
      .def_prop_ro(
          "lifetime", [](const Selected& all) { return std::min(all.whole.lifetime, Pos{1} << 31); },
          "how many more calls of one query it holds for; 0: this call alone")
      .def_prop_ro("cost", &cost,
                   "'flop' of scoring and 'bytes' read; heads that ran dense, and why: by their card's rule, "
                   "because of floor, because selecting would not have paid")
      .def_prop_ro(
          "pairs", [](const Selected& all) { return of_each_head<std::int64_t>(all, pairs_of); },
          "[batch, heads]: pairs of a query and a key that are seen")
      .def_prop_ro("density", &density, "[batch, heads]: those pairs, as a share of what dense causal attention sees")
      .def(
          "mask", [](const Selected& all, int head, int sequence) { return mask_array_of(all.head(head, sequence)); },
          "head"_a, "sequence"_a = 0,
          "bool [q_len, kv_len]: which query sees which key.\n\nErrors    ValueError where that is more than 2^28 "
          "pairs")
      .def(
          "visits",
          [](const Selected& all, int head, Pos block, int sequence) {
            return visits_of(all.head(head, sequence), block);
          },
          "head"_a, "block"_a = 64, "sequence"_a = 0,
          "Which keys each block of queries visits, as CSR.\n\n'keys' [n, 2] are half-open ranges, 'full' [n] says "
          "whether "
          "every query of the block sees all of one; 'begins' [blocks + 1] where the block's own begin, 'q_begins' "
          "[blocks] "
          "its first position. Blocks begin at multiples of `block`.")
      .def(
          "arrays", [](const Selected& all, int head, int sequence) { return arrays_of(all.head(head, sequence)); },
          "head"_a, "sequence"_a = 0,
          "The choice in its own encoding, named by 'kind'.\n\n"
          "'blocks'          'blocks' of block_k keys for each block of block_q queries, CSR by 'begins'; list i is "
          "that of\n"
          "                  block first_q_block + i; causal inside\n"
          "'tokens'          'tokens' for each block of block_q queries, likewise\n"
          "'vertical_slash'  'columns' that every query sees, and 'diagonals': distances, in blocks of 'block'\n"
          "'clusters'        'cluster_of_query' and 'cluster_of_key': queries see the keys of their own, causal\n"
          "'visits'          anything else, as `visits` has it")
      .def("__repr__", [](const Selected& all) {
        return "Selection(batch=" + std::to_string(all.of_sequence.size()) +
               ", heads=" + std::to_string(all.n_heads()) +
               ", q_len=" + nb::repr(all.of_shape(&Patterns::Shape::q_len)).c_str() +
               ", kv_len=" + nb::repr(all.of_shape(&Patterns::Shape::kv_len)).c_str() + ", scope='" +
               name_of(all.whole.scope) + "')";
      });
  m.def(
      "select",
      [](nb::handle q, nb::handle k, nb::handle attn, nb::handle weigh, std::optional<double> scale,
         std::optional<Pos> q_begin, nb::handle v, nb::handle cu_seqlens, nb::handle cu_seqlens_k, int layer,
         bool fallbacks, bool allow_nan) {
        return select({.batch = {.q = q, .k = k, .v = v, .cu_seqlens = cu_seqlens, .cu_seqlens_k = cu_seqlens_k},
                       .attn = attn,
                       .weigh = weigh,
                       .scale = scale,
                       .q_begin = q_begin,
                       .layer = layer},
                      fallbacks, allow_nan);
      },
      "q"_a.none(), "k"_a.none(), "attn"_a, nb::kw_only(), "weigh"_a = "softmax", "scale"_a = nb::none(),
      "q_begin"_a = nb::none(), "v"_a = nb::none(), "cu_seqlens"_a = nb::none(), "cu_seqlens_k"_a = nb::none(),
      "layer"_a = 0, "fallbacks"_a = true, "allow_nan"_a = false, kSelectDoc,
      nb::sig(
          "def select(q: typing.Any, k: typing.Any, attn: typing.Any, *, weigh: typing.Any = 'softmax', scale: float | "
          "None = None, q_begin: int | None = None, v: typing.Any = None, cu_seqlens: typing.Any = None, cu_seqlens_k: "
          "typing.Any = "
          "None, layer: int = 0, fallbacks: bool = True, allow_nan: bool = False) -> Selection"));
}

}  // namespace saccade::python
