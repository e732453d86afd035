#include <nanobind/nanobind.h>

#include <tuple>
#include <vector>

#include "python/src/bind.h"
#include "python/src/call.h"
#include "python/src/def_call.h"
#include "python/src/engine.h"
#include "python/src/output.h"
#include "python/src/probes.h"
#include "saccade/base/error.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace saccade::python {
namespace {

nb::object see(Given given, nb::handle probes, nb::handle v, bool allow_nan) {
  given.batch.v = v;
  given.precision = "f32";
  const std::vector<WantedProbe> wanted = read_probes(probes, !v.is_none());
  Call call("see: ", given);
  if (call.batch.size() < 1) fail_user("see: there is no sequence to look at");
  std::vector<Watches> watches;
  for (Pos i = 0; i < call.batch.size(); ++i) {
    call.want_whole("see: ", i);
    watches.emplace_back(wanted, Text{call.batch.q(i).len, call.batch.k(i).len});
  }
  run_interruptibly([&](Engine& engine, Interrupt& interrupt) {
    for (Pos i = 0; i < call.batch.size() && !interrupt.seen(); ++i) {
      PlannedCall planned = call.sequence(i);
      AttendCall& attend = planned.attend;
      std::vector<float> lse(static_cast<std::size_t>(attend.q.len * attend.q.n_heads));
      std::vector<float> o(n_of_o(attend));  // not the engine's scratch, which stays
      attend.o = packed_o(o.data(), attend);
      attend.lse = lse.data();
      watches[static_cast<std::size_t>(i)].join(planned);
      interrupt.watch(planned);
      call.run_parts(planned, i, [&](const PlannedCall& part) {
        saccade::attend(*call.attn.plan, part, engine.team(), engine.workspace());
      });
      if (!allow_nan) want_no_nan("see: ", attend.o, i, engine.team());
    }
  });
  return read_all(watches, static_cast<int>(call.batch.n_heads()), call.batch.packed());
}

constexpr const char* kSeeDoc = R"(What attention looks at: statistics of maps that are never stored.

Shapes    q [batch, seq, heads, head_dim]; k [batch, kv_len, n_kv_heads, head_dim]; v like k, where norms are wanted:
          f32, f16 or bf16. With cu_seqlens (and cu_seqlens_k), as for attend: [total, heads, head_dim]
probes    names with their parameters ('entropy', 'top_keys(k=4)'), or a dict of what each is given:
          {'rows': {'queries': [7]}}; None: all (norms where v is given). show(name) says what each is and which
          parameters it has; beside those
            rows          queries: positions                    [[the last]]
            diagonals     offsets: distances                    [[1]]
            class_masses  spans: (begin, end) of key positions  [[everything]]
            block_sums    text_len: positions over which the n x n blocks spread  [kv_len]
attn, weigh, causal, scale, mask, slopes, sink_scores, q_begin, layer
          as for attend(); a mask has no heads of its own here, and each query has a key
Returns   a dict of NumPy arrays, [batch, ...]; with cu_seqlens a list with a dict for each sequence, whose arrays are
          what the sequence alone gives, without [batch]. A probe with several numbers has one for each, 'distance.mean':
            band_sums, column_sums.sums, column_sums.squares   [batch, heads, kv_len]
            entropy, distance.mean, distance.clipped, norms,
            peaks.lse, peaks.largest                           [batch, heads, seq]
            diagonals, class_masses                            [batch, heads, seq, offsets or spans]
            rows                                               [batch, heads, queries, kv_len]
            block_sums.sums, block_sums.largest                [batch, heads, n, n]
            top_keys.positions, top_keys.weights               [batch, seq, k], of all heads; with per_head also
            top_keys.head_positions, top_keys.head_weights     [batch, heads, seq, k]
Units     weights sum to 1 in a row; entropy in nats; distances in tokens; lse and scores in natural log
Errors    ValueError, one line: an unknown probe or parameter names its nearest neighbour; what looks at a NaN, unless
          allow_nan. Ctrl-C ends a long call soon
Accuracy  as a plain f32 loop over the same weights; tests/laws/see_laws.h
Cost      attention in f32, and what the probes take; for those of keys, blocks and rows, and top_keys, the scores once
          more. Where attention is wanted too, attend(probes=...) does not pay for it twice. Memory: what the probes
          keep, never seq x kv_len)";

}  // namespace

void bind_see(nb::module_& m) {
  def_call(m, "see", &see, std::tuple("q"_a.none(), "k"_a.none(), "probes"_a = nb::none(), "attn"_a = "dense"),
           {"q: typing.Any, k: typing.Any, probes: typing.Any = None, attn: typing.Any = 'dense'",
            ", v: typing.Any = None, allow_nan: bool = False", "typing.Any"},
           "v"_a = nb::none(), "allow_nan"_a = false, kSeeDoc);
}

}  // namespace saccade::python
