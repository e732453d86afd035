#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "python/src/arrays.h"
#include "python/src/bind.h"
#include "python/src/call.h"
#include "python/src/def_call.h"
#include "python/src/engine.h"
#include "python/src/output.h"
#include "python/src/probes.h"
#include "saccade/base/error.h"
#include "saccade/plan/planned.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace saccade::python {
namespace {

/// What is wanted of a call.
struct Results {
  nb::handle out, probes = nb::none();
  bool return_lse = false, return_cost = false, allow_nan = false;
};

/// One call from Python, read and checked, and where its results go.
class Job {
 public:
  Job(std::string place, const Given& given, const Results& wanted)
      : place_(std::move(place)),
        call_(place_, given),
        output_(wanted.out, given.batch.q, call_.batch.shape_like_q(call_.batch.head_dim_v()), place_ + "out"),
        wanted_(wanted) {
    if (!wanted.probes.is_none()) watch(read_probes(wanted.probes, true));
    if (!wanted.return_lse) return;
    lse_ = new_array(given.batch.q, call_.batch.shape_like_q(-1), "float32");
    lse_data_ = reinterpret_cast<float*>(const_cast<std::byte*>(Array(lse_, place_ + "lse").data()));
  }

  /// Without the GIL. Errors: those of attend; ends early once `interrupt` has seen something.
  void run(Engine& engine, Interrupt& interrupt) {
    for (Pos i = 0; i < call_.batch.size() && !interrupt.seen(); ++i) run_sequence(i, engine, interrupt);
  }

  /// o, or (o[, lse][, cost][, what the probes found]).
  nb::object results() const {
    nb::list all;
    all.append(output_.object());
    if (wanted_.return_lse) all.append(lse_);
    if (wanted_.return_cost) all.append(nb::cast(cost_));
    if (!wanted_.probes.is_none()) {
      all.append(read_all(watches_, static_cast<int>(call_.batch.n_heads()), call_.batch.packed()));
    }
    return nb::len(all) == 1 ? output_.object() : nb::tuple(all);
  }

 private:
  void watch(const std::vector<WantedProbe>& probes) {
    if (call_.batch.size() < 1) fail_user(place_ + "there is no sequence for probes to look at");
    for (Pos i = 0; i < call_.batch.size(); ++i) {
      call_.want_whole(place_ + "probes: ", i);
      watches_.emplace_back(probes, Text{call_.batch.q(i).len, call_.batch.k(i).len});
    }
  }

  void run_sequence(Pos i, Engine& engine, Interrupt& interrupt) {
    PlannedCall planned = call_.sequence(i);
    AttendCall& attend = planned.attend;
    const Pos row = call_.batch.first_row(i), q_len = attend.q.len;
    attend.o = output_.rounds() ? packed_o(engine.scratch(n_of_o(attend)), attend) : output_.view(row, q_len);
    if (lse_data_ != nullptr) attend.lse = lse_data_ + row * attend.q.n_heads;
    std::vector<float> lse_of_probes;
    if (!watches_.empty()) {
      watches_[static_cast<std::size_t>(i)].join(planned);
      lse_of_probes.resize(attend.lse == nullptr ? static_cast<std::size_t>(q_len * attend.q.n_heads) : 0);
      if (attend.lse == nullptr) attend.lse = lse_of_probes.data();
    }
    interrupt.watch(planned);
    Team& team = engine.team_for(
        2.0 * static_cast<double>(q_len * attend.k.len * attend.q.n_heads * (attend.q.dim + attend.v.dim)));
    call_.run_parts(planned, i, [&](const PlannedCall& part) {
      cost_ += saccade::attend(*call_.attn.plan, part, team, engine.workspace());
    });
    if (!wanted_.allow_nan && !interrupt.seen()) want_no_nan(place_, attend.o, i, team);
    if (output_.rounds()) output_.round(attend.o.data, row, q_len, team);
  }

  std::string place_;  // begins every error
  Call call_;
  Output output_;
  Results wanted_;
  nb::object lse_;
  float* lse_data_ = nullptr;
  std::vector<Watches> watches_;  // of each sequence, if there are probes
  PlannedCost cost_;
};

/// What attend and decode share.
nb::object run(const std::string& place, const Given& given, const Results& wanted) {
  Job job(place, given, wanted);
  run_interruptibly([&](Engine& engine, Interrupt& interrupt) { job.run(engine, interrupt); });
  return job.results();
}

nb::object attend(Given given, nb::handle v, std::string precision, nb::handle out, bool return_lse, bool return_cost,
                  bool allow_nan, nb::handle probes) {
  given.batch.v = v;
  given.precision = std::move(precision);
  return run("attend: ", given, {out, probes, return_lse, return_cost, allow_nan});
}

nb::object decode(nb::handle q, nb::handle k, nb::handle v, nb::handle attn, nb::handle kv_lens, nb::handle weigh,
                  std::optional<double> scale, nb::handle slopes, nb::handle sink_scores, nb::handle mask,
                  const std::string& precision, int layer, nb::handle out, bool return_lse, bool return_cost,
                  bool allow_nan) {
  return run("decode: ",
             {.batch = {.q = q, .k = k, .v = v, .kv_lens = kv_lens, .decodes = true},
              .attn = attn,
              .weigh = weigh,
              .scale = scale,
              .mask = mask,
              .slopes = slopes,
              .sink_scores = sink_scores,
              .precision = precision,
              .layer = layer},
             {.out = out, .return_lse = return_lse, .return_cost = return_cost, .allow_nan = allow_nan});
}

constexpr const char* kAttendDoc =
    R"doc(Softmax attention over the keys that `attn` shows; nothing of q_len x kv_len is ever stored.

  score = softcap(scale q.k) + slope mask;  o = sum exp(score - lse) v;  lse = log(sum exp(score) + exp(sink score))

Shapes    q [batch, seq, heads, head_dim]; k, v [batch, kv_len, n_kv_heads, head_dim or head_dim_v]; o as q with
          head_dim_v; lse [batch, seq, heads], f32. With cu_seqlens (i32 or i64 [batch + 1]; cu_seqlens_k where keys
          are cut elsewhere): [total, heads, head_dim]. heads is a multiple of n_kv_heads; head_dim and head_dim_v are
          multiples of 8 from 32 to 576. q, k, v: f32, f16 or bf16, any strides but a contiguous last dimension, read
          where they lie. o comes in q's library and dtype (rounded once from f32) unless `out` takes it.
attn      a spec ("window(1024)+sink(4)", see list()), a Plan, a plan or a row of one as a dict, an object of
          saccade.where, or what select() or mask_mod() returned; `layer` picks the plan's rows
weigh     "softmax", "softcap(30)", a row of a plan as a dict ({"layers": "2-23", "weigh": "softcap(30)"}), or an object
          of saccade.weigh
causal    False: every query sees every key; only for attn="dense" or a mask_mod
mask      [seq, kv_len] or [batch or 1, heads or 1, seq, kv_len]: bool (True: visible), or added to the scores; what it
          hides is hidden under any attn. slopes [heads] multiply it, head by head
sink_scores  [heads]: one more score a head that takes weight and has no value
precision "auto" (16 bits where keys and values have 16 and the CPU can), "f32", "i16" or "bf16"
q_begin   position of the first query; kv_len - seq by default, so that the last query sees the last key. The key in
          slot j has position j
probes    what to tell about the maps on the way, as see() takes them; o keeps every bit. What a row's own softmax knows
          (entropy, distance, diagonals, class_masses, norms, peaks) is told by this very pass, of weights in the call's
          precision; for the others the keys are looked at once more, in f32
Returns   o, or (o[, lse][, cost][, what the probes found, as see() returns it])
Units     lse in natural log; a row that sees no key has o = 0, lse = -inf (or its sink score)
Errors    ValueError for shapes, specs and numbers, TypeError for dtypes and devices, MemoryError; one line each; so
          for a NaN in o, which stays in the rows that look at it: allow_nan=True returns them. Ctrl-C ends a long call
          soon.
Accuracy  per row at most 2x the error of plain loops in the same precision, plus 4 eps max|v|
Cost      2 (head_dim + head_dim_v) FLOP a visited pair (probes: docs/speed.md); threads as set_threads() says, without the GIL; calls from
          several Python threads take turns. Memory: no copy of q, k, v; one sequence's o in f32 where o is 16 bits wide;
          a mask that is not f32 or f16 with contiguous rows is translated to f32, one sequence or head at a time
Source    FlashAttention-2, arXiv:2307.08691; saccade/attend/attend.h)doc";

constexpr const char* kDecodeDoc =
    R"doc(Attention of one query a sequence over a cache: a step of decoding for a batch.

Shapes    q [batch, heads, head_dim] or [batch, 1, heads, head_dim]; k, v [batch, room, n_kv_heads, head_dim or
          head_dim_v]; o as q with head_dim_v; lse without the last dimension
kv_lens   i32 or i64 [batch]: how many keys each sequence has, the query's own among them; None: all of them
mask      [1, room] or [batch or 1, heads or 1, 1, room]
The rest is as in attend(); the query has the position of its sequence's last key.)doc";

}  // namespace

void bind_attend(nb::module_& m) {
  nb::class_<PlannedCost>(m, "Cost", "What a call did, summed over sequences and query heads.")
      .def_prop_ro(
          "pairs_visited", [](const PlannedCost& c) { return c.attend.pairs_visited; },
          "Pairs of one query and one key that were visible.")
      .def_ro("pairs_dense", &PlannedCost::pairs_dense, "Pairs that dense attention visits.")
      .def_prop_ro(
          "density",
          [](const PlannedCost& c) {
            return c.pairs_dense == 0
                       ? 1.0
                       : static_cast<double>(c.attend.pairs_visited) / static_cast<double>(c.pairs_dense);
          },
          "pairs_visited / pairs_dense.")
      .def_prop_ro(
          "pairs_i16", [](const PlannedCost& c) { return c.attend.pairs_i16; },
          "Of the visited pairs, those in 16-bit fixed point.")
      .def_prop_ro(
          "pairs_bf16", [](const PlannedCost& c) { return c.attend.pairs_bf16; },
          "Of the visited pairs, those in bf16.")
      .def_prop_ro(
          "pairs_skipped", [](const PlannedCost& c) { return c.attend.pairs_skipped; },
          "Of the visited pairs, those taken by runs (skip_softmax).")
      .def_prop_ro(
          "select_flop", [](const PlannedCost& c) { return c.select.flop; }, "FLOP that selectors spent.")
      .def_prop_ro(
          "select_bytes", [](const PlannedCost& c) { return c.select.bytes; }, "Bytes that selectors read.")
      .def_ro("heads_chosen", &PlannedCost::heads_chosen, "Heads that a selector chose for.")
      .def_ro("heads_dense_by_rule", &PlannedCost::heads_dense_by_rule, "Of those, dense because its card says so.")
      .def_ro("heads_dense_by_floor", &PlannedCost::heads_dense_by_floor, "Dense because of floor.")
      .def_ro("heads_dense_by_cost", &PlannedCost::heads_dense_by_cost, "Dense because selecting would not pay.");

  def_call(m, "attend", &attend, std::tuple("q"_a.none(), "k"_a.none(), "v"_a.none(), "attn"_a = "dense"),
           {"q: typing.Any, k: typing.Any, v: typing.Any, attn: typing.Any = 'dense'",
            ", precision: str = 'auto', out: typing.Any = None, return_lse: bool = False, return_cost: bool = False, "
            "allow_nan: bool = False, probes: typing.Any = None",
            "typing.Any"},
           "precision"_a = "auto", "out"_a = nb::none(), "return_lse"_a = false, "return_cost"_a = false,
           "allow_nan"_a = false, "probes"_a = nb::none(), kAttendDoc);
  m.def(
      "decode", &decode, "q"_a.none(), "k"_a.none(), "v"_a.none(), "attn"_a = "dense", "kv_lens"_a = nb::none(),
      nb::kw_only(), "weigh"_a = "softmax", "scale"_a = nb::none(), "slopes"_a = nb::none(),
      "sink_scores"_a = nb::none(), "mask"_a = nb::none(), "precision"_a = "auto", "layer"_a = 0, "out"_a = nb::none(),
      "return_lse"_a = false, "return_cost"_a = false, "allow_nan"_a = false, kDecodeDoc,
      nb::sig(
          "def decode(q: typing.Any, k: typing.Any, v: typing.Any, attn: typing.Any = 'dense', kv_lens: "
          "typing.Any = None, *, weigh: typing.Any = 'softmax', scale: float | None = None, slopes: typing.Any = None, "
          "sink_scores: typing.Any = None, mask: typing.Any = None, precision: str = 'auto', layer: int = 0, "
          "out: typing.Any = None, return_lse: bool = False, return_cost: bool = False, allow_nan: bool = False) "
          "-> typing.Any"));
}

}  // namespace saccade::python
