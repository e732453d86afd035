#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <concepts>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "python/src/arguments.h"
#include "python/src/batch.h"
#include "python/src/bind.h"
#include "python/src/engine.h"
#include "python/src/owned.h"
#include "saccade/attend/look.h"
#include "saccade/base/error.h"
#include "saccade/catalogue.inc"
#include "saccade/plan/catalogue.h"
#include "saccade/plan/fields.h"
#include "saccade/plan/nearest.h"
#include "saccade/plan/planned.h"
#include "saccade/where/dense.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace saccade::python {
namespace {

// --- what each probe is given beside its parameters, taken out of `given`; and its numbers as arrays ---
// A probe without a `read` of its own does not compile.

/// given[name] as a T, taken out; `fallback` when it is not there. Errors: Fault::kUser when it is something else.
template <class T>
T take(nb::dict& given, const char* name, T fallback, const char* rule) {
  if (!given.contains(name)) return fallback;
  T value;
  if (!nb::try_cast(nb::object(given[name]), value)) fail_user(std::string("see: ") + name + " must be " + rule);
  nb::del(given[name]);
  return value;
}

/// Most probes are given nothing.
template <class P>
void take_inputs(P& /*probe*/, nb::dict& /*given*/, Pos /*text_len*/) {}

void take_inputs(see::Rows& rows, nb::dict& given, Pos text_len) {
  rows.queries = take(given, "queries", std::vector<Pos>{text_len - 1}, "a list of positions");
}

void take_inputs(see::Diagonals& diagonals, nb::dict& given, Pos /*text_len*/) {
  diagonals.offsets = take(given, "offsets", std::vector<Pos>{1}, "a list of distances");
  for (const Pos offset : diagonals.offsets) {
    if (offset < 0) fail_user("see: offsets must be >= 0, got " + std::to_string(offset));
  }
}

void take_inputs(see::ClassMasses& masses, nb::dict& given, Pos text_len) {
  const auto spans = take(given, "spans", std::vector<std::pair<Pos, Pos>>{{0, text_len}}, "a list of (begin, end)");
  for (const auto& [begin, end] : spans) masses.spans.push_back({"", {begin, end}});
}

void take_inputs(see::BlockSums& sums, nb::dict& given, Pos text_len) {
  sums.text_len = take(given, "text_len", text_len, "a number of tokens");
  if (sums.text_len < 1) fail_user("see: text_len must be >= 1, got " + std::to_string(sums.text_len));
}

/// [n_heads, queries] or, of several numbers each, [n_heads, queries, width].
nb::object array(const see::PerRow& rows, bool several = false) {
  std::vector<float> all;
  for (int head = 0; head < rows.n_heads(); ++head) {
    all.insert(all.end(), rows.head(head).begin(), rows.head(head).end());
  }
  std::vector<Pos> shape{rows.n_heads(), rows.q_positions().size()};
  if (several) shape.push_back(rows.width());
  return owned_array<float>(std::move(all), shape);
}

/// [n_heads, kv_len]
nb::object array(const see::PerKey& keys) {
  std::vector<double> all;
  for (int head = 0; head < keys.n_heads(); ++head) {
    all.insert(all.end(), keys.head(head).begin(), keys.head(head).end());
  }
  return owned_array<double>(std::move(all), {keys.n_heads(), keys.kv_len()});
}

void read(const see::Entropy& probe, int, nb::dict& out) { out["entropy"] = array(probe.values()); }

void read(const see::Distance& probe, int, nb::dict& out) {
  out["distance.mean"] = array(probe.mean());
  out["distance.clipped"] = array(probe.clipped());
}

void read(const see::Diagonals& probe, int, nb::dict& out) { out["diagonals"] = array(probe.values(), true); }

void read(const see::ClassMasses& probe, int, nb::dict& out) { out["class_masses"] = array(probe.values(), true); }

void read(const see::BandSums& probe, int, nb::dict& out) { out["band_sums"] = array(probe.sums()); }

void read(const see::ColumnSums& probe, int, nb::dict& out) {
  out["column_sums.sums"] = array(probe.sums());
  if (probe.squares) out["column_sums.squares"] = array(probe.sums_of_squares());
}

void read(const see::BlockSums& probe, int n_heads, nb::dict& out) {
  std::vector<float> sums, largest;
  for (int head = 0; head < n_heads; ++head) {
    sums.insert(sums.end(), probe.sums(head).begin(), probe.sums(head).end());
    largest.insert(largest.end(), probe.largest(head).begin(), probe.largest(head).end());
  }
  out["block_sums.sums"] = owned_array<float>(std::move(sums), {n_heads, probe.n, probe.n});
  if (probe.maxima) out["block_sums.largest"] = owned_array<float>(std::move(largest), {n_heads, probe.n, probe.n});
}

void read(const see::Rows& probe, int n_heads, nb::dict& out) {
  std::vector<float> all;
  Pos kv_len = 0;
  for (int head = 0; head < n_heads; ++head) {
    for (const Pos query : probe.queries) {
      const auto row = probe.row(head, query);
      if (row.empty()) fail_user("see: rows were asked of query " + std::to_string(query) + ", which is not there");
      kv_len = static_cast<Pos>(row.size());
      all.insert(all.end(), row.begin(), row.end());
    }
  }
  out["rows"] = owned_array<float>(std::move(all), {n_heads, static_cast<Pos>(probe.queries.size()), kv_len});
}

void put_keys(const auto& row_of, Range queries, std::vector<std::int32_t>& positions, std::vector<float>& weights) {
  for (Pos q_pos = queries.begin; q_pos < queries.end; ++q_pos) {
    for (const see::TopKeys::Key& key : row_of(q_pos)) {
      positions.push_back(key.position);
      weights.push_back(key.weight);
    }
  }
}

void read(const see::TopKeys& probe, int n_heads, nb::dict& out) {
  const Range queries = probe.q_positions();
  std::vector<std::int32_t> positions;
  std::vector<float> weights;
  put_keys([&](Pos q_pos) { return probe.row(q_pos); }, queries, positions, weights);
  out["top_keys.positions"] = owned_array<std::int32_t>(std::exchange(positions, {}), {queries.size(), probe.k});
  out["top_keys.weights"] = owned_array<float>(std::exchange(weights, {}), {queries.size(), probe.k});
  if (!probe.per_head) return;
  for (int head = 0; head < n_heads; ++head) {
    put_keys([&](Pos q_pos) { return probe.row(head, q_pos); }, queries, positions, weights);
  }
  const std::vector<Pos> shape{n_heads, queries.size(), probe.k};
  out["top_keys.head_positions"] = owned_array<std::int32_t>(std::move(positions), shape);
  out["top_keys.head_weights"] = owned_array<float>(std::move(weights), shape);
}

void read(const see::Norms& probe, int, nb::dict& out) { out["norms"] = array(probe.values()); }

void read(const see::Peaks& probe, int, nb::dict& out) {
  out["peaks.lse"] = array(probe.lse());
  out["peaks.largest"] = array(probe.largest());
}

// --- any of them, by name ---

class Watch {
 public:
  virtual ~Watch() = default;
  virtual Probe* second_pass() { return nullptr; }
  /// Those that can see no other way; what both passes know is told by the second, in f32.
  virtual RowProbe* first_pass() { return nullptr; }
  virtual void read_into(int n_heads, nb::dict& out) const = 0;
};

template <class P>
class WatchOf final : public Watch {
 public:
  /// `given`: what it is given and its parameters, by name.
  WatchOf(const std::string& place, const nb::dict& all_given, Pos text_len) {
    auto given = nb::cast<nb::dict>(all_given.attr("copy")());  // what is taken is taken out
    take_inputs(probe_, given, text_len);
    SpecArgs params;
    for (const auto& [name, value] : given) {
      const bool is_switch = nb::isinstance<nb::bool_>(value);
      params.emplace_back(nb::cast<std::string>(name),
                          is_switch ? (nb::cast<bool>(value) ? "on" : "off") : nb::cast<std::string>(nb::str(value)));
    }
    assign_params(place, params, probe_);
    if constexpr (requires { probe_.check(); }) probe_.check();
  }
  Probe* second_pass() override {
    if constexpr (kLooks) return &probe_;
    return nullptr;
  }
  RowProbe* first_pass() override {
    if constexpr (!kLooks) return &probe_;
    return nullptr;
  }
  void read_into(int n_heads, nb::dict& out) const override { read(probe_, n_heads, out); }

 private:
  static constexpr bool kLooks = std::derived_from<P, Probe>;
  P probe_;
};

using Watches = std::vector<std::unique_ptr<Watch>>;

/// A probe by name, and what it is given.
struct Wanted {
  std::string name;
  nb::dict given;
};

template <class Row>
void watch_if(const Wanted& wanted, Pos text_len, Watches& out) {
  using Mechanism = typename Row::Mechanism;
  if constexpr (std::derived_from<Mechanism, Probe> || std::derived_from<Mechanism, RowProbe>) {
    if (wanted.name != Row::kName) return;
    out.push_back(std::make_unique<WatchOf<Mechanism>>("see/" + wanted.name, wanted.given, text_len));
  }
}

template <class... Row>
void watch(generated::Rows<Row...>, const Wanted& wanted, Pos text_len, Watches& out) {
  (watch_if<Row>(wanted, text_len, out), ...);
}

std::vector<std::string_view> names_of_probes() {
  std::vector<std::string_view> names;
  for (const MechanismInfo& info : catalogue()) {
    if (info.kind == MechanismKind::kProbe) names.push_back(info.name);
  }
  return names;
}

void check_name(const std::string& name) {
  const auto names = names_of_probes();
  if (std::ranges::find(names, name) == names.end()) {
    fail_user("see: there is no probe '" + name + "'; " + suggest(name, names));
  }
}

/// "top_keys(k=4)"
Wanted wanted_of(const std::string& text) {
  const Spec spec = parse_spec(text);
  if (spec.kind != Spec::Kind::kMechanism) fail_user("see: one probe at a time, got " + text);
  check_name(spec.name);
  const auto params = find(spec.name)->params;
  const auto values = match_args("see/" + spec.name, params, spec.args);
  Wanted wanted{spec.name, {}};
  for (std::size_t i = 0; i < params.size(); ++i) {
    if (values[i] != nullptr) wanted.given[params[i].name.c_str()] = *values[i];
  }
  return wanted;
}

constexpr std::string_view kOfValues = "norms";  ///< the one probe that looks at values

/// None: all that can be told; a spec; a dict of what each is given; or any number of specs.
std::vector<Wanted> read_probes(nb::handle probes, bool has_v) {
  std::vector<Wanted> all;
  if (probes.is_none()) {
    for (const std::string_view name : names_of_probes()) {
      if (has_v || name != kOfValues) all.push_back({std::string(name), {}});
    }
  } else if (nb::isinstance<nb::str>(probes)) {
    all.push_back(wanted_of(nb::cast<std::string>(probes)));
  } else if (nb::isinstance<nb::dict>(probes)) {
    for (const auto& [name, given] : nb::cast<nb::dict>(probes)) {
      all.push_back({nb::cast<std::string>(name), nb::cast<nb::dict>(given)});
      check_name(all.back().name);
    }
  } else {
    for (const nb::handle one : probes) all.push_back(wanted_of(nb::cast<std::string>(one)));
  }
  for (const Wanted& one : all) {
    if (!has_v && one.name == kOfValues) fail_user("see: " + one.name + " looks at values: give v");
  }
  return all;
}

struct Options {
  std::optional<double> scale;
  std::optional<Pos> q_begin;
  float softcap = 0.0F;
  int layer = 0;
  bool causal = true;
  bool has_v = false;
};

/// The patterns of one sequence: those that were given, or the plan's choice.
std::vector<WherePtr> patterns_of(const Attn& attn, const PlannedCall& call, Pos sequence, Team& team) {
  if (attn.patterns == nullptr) return choose(*attn.plan, call, team).of_head;
  const auto& all = attn.patterns->of_sequence;
  std::vector<WherePtr> patterns = all[all.size() == 1 ? 0 : static_cast<std::size_t>(sequence)];
  if (patterns.size() == 1) patterns.resize(static_cast<std::size_t>(call.attend.q.n_heads), patterns[0]);
  for (WherePtr& one : patterns) {
    if (call.causal) one = intersect({one, make_where(where::Dense{})});
  }
  return patterns;
}

/// Attention for its lse and the probes that it can tell, then a look at what its heads see.
void look_at(AttendCall call, const std::vector<WherePtr>& patterns, const Watches& watches, Engine& engine) {
  std::vector<const Where*> wheres;
  for (const WherePtr& pattern : patterns) wheres.push_back(pattern.get());
  std::vector<float> o(static_cast<std::size_t>(call.q.len * call.q.n_heads * call.v.dim));
  std::vector<float> lse(static_cast<std::size_t>(call.q.len * call.q.n_heads));
  const auto head_bytes = static_cast<std::ptrdiff_t>(call.v.dim) * Pos{sizeof(float)};
  call.o = {o.data(), call.q.len, call.q.n_heads, call.v.dim, head_bytes * call.q.n_heads, head_bytes};
  call.lse = lse.data();
  call.where = wheres;
  std::vector<Probe*> second;
  std::vector<RowProbe*> first;
  for (const auto& one : watches) {
    if (Probe* const probe = one->second_pass()) second.push_back(probe);
    if (RowProbe* const probe = one->first_pass()) first.push_back(probe);
  }
  call.probes = first;
  attend(call, engine.team(), engine.workspace());
  call.probes = {};
  if (!second.empty()) look(call, lse.data(), second, engine.team(), engine.workspace());
}

/// Of one sequence.
nb::dict see(const Attn& attn, const Batch& batch, Pos sequence, const std::vector<Wanted>& wanted,
             const Options& options) {
  PlannedCall call{.layer = options.layer, .causal = options.causal};
  call.attend.q = batch.q(sequence);
  call.attend.k = batch.k(sequence);
  call.attend.v = options.has_v ? batch.v(sequence) : call.attend.k;  // most probes look at no value
  const Pos end = call.attend.k.len - call.attend.q.len;
  call.attend.q_begin = attn.patterns != nullptr ? attn.patterns->q_begin : options.q_begin.value_or(end);
  call.attend.scale = scale_or_default(options.scale, batch.head_dim());
  call.attend.softcap = options.softcap;
  Watches watches;
  for (const Wanted& one : wanted) watch(generated::Catalogue{}, one, call.attend.k.len, watches);
  {
    const nb::gil_scoped_release others_may_run;
    const Engine::Lock engine;
    look_at(call.attend, patterns_of(attn, call, sequence, engine->team()), watches, *engine);
  }
  nb::dict out;
  for (const auto& one : watches) one->read_into(static_cast<int>(call.attend.q.n_heads), out);
  return out;
}

/// The sequences' arrays, one upon the other.
nb::dict stack(const std::vector<nb::dict>& of_sequence) {
  const nb::object numpy_stack = nb::module_::import_("numpy").attr("stack");
  nb::dict out;
  for (const auto& [name, first] : of_sequence.at(0)) {
    nb::list all;
    for (const nb::dict& one : of_sequence) all.append(one[name]);
    out[name] = numpy_stack(all);
  }
  return out;
}

constexpr const char* kSeeDoc = R"(What attention looks at: statistics of maps that are never stored.

Shapes    q [batch, seq, heads, head_dim]; k [batch, kv_len, n_kv_heads, head_dim]; v like k, where norms are wanted:
          f32, f16 or bf16
probes    names with their parameters ('entropy', 'top_keys(k=4)'), or a dict of what each is given:
          {'rows': {'queries': [7]}}; None: all (norms where v is given). show(name) says what each is and which
          parameters it has; beside those
            rows          queries: positions                    [[the last]]
            diagonals     offsets: distances                    [[1]]
            class_masses  spans: (begin, end) of key positions  [[everything]]
            block_sums    text_len: positions over which the n x n blocks spread  [kv_len]
attn      whom each head looks at, as for attend; a Selection or a BlockMask too
weigh     'softmax' or 'softcap(30)'
causal    False: a BlockMask alone says who sees whom
scale     multiplies q.k; 1 / sqrt(head_dim) when not given
q_begin   position of the first query; kv_len - seq when not given
layer     which layer of the plan, and of seeds
Returns   a dict of NumPy arrays, [batch, ...]; a probe with several numbers has one for each, 'distance.mean':
            band_sums, column_sums.sums, column_sums.squares   [batch, heads, kv_len]
            entropy, distance.mean, distance.clipped, norms,
            peaks.lse, peaks.largest                           [batch, heads, seq]
            diagonals, class_masses                            [batch, heads, seq, offsets or spans]
            rows                                               [batch, heads, queries, kv_len]
            block_sums.sums, block_sums.largest                [batch, heads, n, n]
            top_keys.positions, top_keys.weights               [batch, seq, k], of all heads; with per_head also
            top_keys.head_positions, top_keys.head_weights     [batch, heads, seq, k]
Units     weights sum to 1 in a row; entropy in nats; distances in tokens; lse and scores in natural log
Errors    ValueError, one line: an unknown probe or parameter names its nearest neighbour
Accuracy  as a plain f32 loop over the same weights; tests/laws/see_laws.h
Cost      attention twice (once for norms and peaks alone), and what the probes take; memory: what they keep, never
          seq x kv_len)";

}  // namespace

void bind_see(nb::module_& m) {
  m.def(
      "see",
      [](nb::handle q, nb::handle k, nb::handle probes, nb::handle attn, nb::handle v, const std::string& weigh,
         bool causal, std::optional<double> scale, std::optional<Pos> q_begin, int layer) {
        const nb::object none = nb::none();
        const Batch batch("see: ", {.q = q, .k = k, .v = v, .cu_seqlens = none, .cu_seqlens_k = none, .kv_lens = none});
        if (batch.size() < 1) fail_user("see: there is no sequence to look at");
        const Attn looked_at = read_attn(attn);
        const std::vector<Wanted> wanted = read_probes(probes, !v.is_none());
        const Options options{scale, q_begin, read_weigh(weigh), layer, causal, !v.is_none()};
        std::vector<nb::dict> of_sequence;
        for (Pos i = 0; i < batch.size(); ++i) of_sequence.push_back(see(looked_at, batch, i, wanted, options));
        return stack(of_sequence);
      },
      "q"_a, "k"_a, "probes"_a = nb::none(), "attn"_a = "dense", nb::kw_only(), "v"_a = nb::none(),
      "weigh"_a = "softmax", "causal"_a = true, "scale"_a = nb::none(), "q_begin"_a = nb::none(), "layer"_a = 0,
      kSeeDoc);
}

}  // namespace saccade::python
