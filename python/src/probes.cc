#include "python/src/probes.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <concepts>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "python/src/arrays.h"
#include "python/src/owned.h"
#include "saccade/base/error.h"
#include "saccade/catalogue.inc"
#include "saccade/plan/catalogue.h"
#include "saccade/plan/fields.h"
#include "saccade/plan/nearest.h"

namespace nb = nanobind;

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
void take_inputs(P& /*probe*/, nb::dict& /*given*/, const Text& /*text*/) {}

void take_inputs(see::Rows& rows, nb::dict& given, const Text& text) {
  const std::vector<Pos> last(std::min(text.q_len, text.kv_len) > 0 ? 1 : 0, text.kv_len - 1);
  rows.queries = take(given, "queries", last, "a list of positions");
}

void take_inputs(see::Diagonals& diagonals, nb::dict& given, const Text& /*text*/) {
  diagonals.offsets = take(given, "offsets", std::vector<Pos>{1}, "a list of distances");
  for (const Pos offset : diagonals.offsets) {
    if (offset < 0) fail_user("see: offsets must be >= 0, got " + std::to_string(offset));
  }
}

void take_inputs(see::ClassMasses& masses, nb::dict& given, const Text& text) {
  const auto spans = take(given, "spans", std::vector<std::pair<Pos, Pos>>{{0, text.kv_len}}, "a list of (begin, end)");
  for (const auto& [begin, end] : spans) masses.spans.push_back({"", {begin, end}});
}

void take_inputs(see::BlockSums& sums, nb::dict& given, const Text& text) {
  sums.text_len = take(given, "text_len", std::max<Pos>(text.kv_len, 1), "a number of tokens");
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

template <class P>
class WatchOf final : public Watch {
 public:
  /// `given`: what it is given and its parameters, by name.
  WatchOf(const std::string& place, const nb::dict& all_given, const Text& text) {
    auto given = nb::cast<nb::dict>(all_given.attr("copy")());  // what is taken is taken out
    take_inputs(probe_, given, text);
    SpecArgs params;
    for (const auto& [name, value] : given) {
      const bool is_switch = nb::isinstance<nb::bool_>(value);
      params.emplace_back(nb::cast<std::string>(nb::str(name)),
                          is_switch ? (nb::cast<bool>(value) ? "on" : "off") : nb::cast<std::string>(nb::str(value)));
    }
    assign_params(place, params, probe_);
    if constexpr (requires { probe_.check(); }) probe_.check();
  }
  RowProbe* first_pass() override {
    if constexpr (kByRow) return &probe_;
    return nullptr;
  }
  Probe* second_pass() override {
    if constexpr (!kByRow) return &probe_;
    return nullptr;
  }
  void read_into(int n_heads, nb::dict& out) const override { read(probe_, n_heads, out); }

 private:
  /// The best keys by all heads' weights together are known to no row.
  static constexpr bool kByRow = std::derived_from<P, RowProbe> && !std::same_as<P, see::TopKeys>;
  P probe_;
};

template <class Row>
void watch_if(const WantedProbe& wanted, const Text& text, std::vector<std::unique_ptr<Watch>>& out) {
  using Mechanism = typename Row::Mechanism;
  if constexpr (std::derived_from<Mechanism, Probe> || std::derived_from<Mechanism, RowProbe>) {
    if (wanted.name != Row::kName) return;
    out.push_back(std::make_unique<WatchOf<Mechanism>>("see/" + wanted.name, wanted.given, text));
  }
}

template <class... Row>
void watch(generated::Rows<Row...>, const WantedProbe& wanted, const Text& text,
           std::vector<std::unique_ptr<Watch>>& out) {
  (watch_if<Row>(wanted, text, out), ...);
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
WantedProbe wanted_of(const std::string& text) {
  const Spec spec = parse_spec(text);
  if (spec.kind != Spec::Kind::kMechanism) fail_user("see: one probe at a time, got " + text);
  check_name(spec.name);
  const auto params = find(spec.name)->params;
  const auto values = match_args("see/" + spec.name, params, spec.args);
  WantedProbe wanted{spec.name, {}};
  for (std::size_t i = 0; i < params.size(); ++i) {
    if (values[i] != nullptr) wanted.given[params[i].name.c_str()] = *values[i];
  }
  return wanted;
}

/// A probe's name as it was given. Errors: TypeError, one line.
std::string text_of(nb::handle name) {
  if (!nb::isinstance<nb::str>(name)) type_error("see: a probe's name must be a string, got " + kind_of(name));
  return nb::cast<std::string>(name);
}

constexpr std::string_view kOfValues = "norms";  ///< the one probe that looks at values

nb::dict stack_of(const std::vector<nb::dict>& of_sequence) {
  const nb::object numpy_stack = nb::module_::import_("numpy").attr("stack");
  nb::dict out;
  for (const auto& [name, first] : of_sequence.at(0)) {
    nb::list all;
    for (const nb::dict& one : of_sequence) all.append(one[name]);
    out[name] = numpy_stack(all);
  }
  return out;
}

}  // namespace

std::vector<WantedProbe> read_probes(nb::handle probes, bool has_v) {
  std::vector<WantedProbe> all;
  if (probes.is_none()) {
    for (const std::string_view name : names_of_probes()) {
      if (has_v || name != kOfValues) all.push_back({std::string(name), {}});
    }
  } else if (nb::isinstance<nb::str>(probes)) {
    all.push_back(wanted_of(nb::cast<std::string>(probes)));
  } else if (nb::isinstance<nb::dict>(probes)) {
    for (const auto& [name, given] : nb::cast<nb::dict>(probes)) {
      check_name(text_of(name));
      if (!nb::isinstance<nb::dict>(given)) {
        type_error("see: what " + text_of(name) + " is given must be a dict, got " + kind_of(given));
      }
      all.push_back({text_of(name), nb::cast<nb::dict>(given)});
    }
  } else if (nb::isinstance<nb::iterable>(probes)) {
    for (const nb::handle one : probes) all.push_back(wanted_of(text_of(one)));
  } else {
    type_error("see: probes must be names, or a dict of what each is given, got " + kind_of(probes));
  }
  for (const WantedProbe& one : all) {
    if (!has_v && one.name == kOfValues) fail_user("see: " + one.name + " looks at values: give v");
  }
  return all;
}

Watches::Watches(const std::vector<WantedProbe>& wanted, const Text& text) {
  for (const WantedProbe& one : wanted) watch(generated::Catalogue{}, one, text, all_);
  for (const auto& one : all_) {
    if (RowProbe* const probe = one->first_pass()) first_.push_back(probe);
    if (Probe* const probe = one->second_pass()) second_.push_back(probe);
  }
}

void Watches::join(PlannedCall& call) {
  AttendCall& attend = call.attend;
  if (attend.q.len > 0) {
    attend.probes = first_;
    call.second_looks = second_;
    return;
  }
  // There is nothing to do, and attention tells nobody that it began.
  const LookShape shape{.q_positions = {attend.q_begin, attend.q_begin},
                        .kv_len = attend.k.len,
                        .n_heads = static_cast<int>(attend.q.n_heads),
                        .n_workers = 1};
  for (RowProbe* probe : first_) probe->begin(shape);
  for (Probe* probe : second_) probe->begin(shape);
}

nb::dict Watches::read(int n_heads) const {
  nb::dict out;
  for (const auto& one : all_) one->read_into(n_heads, out);
  return out;
}

nb::object read_all(const std::vector<Watches>& of_sequence, int n_heads, bool packed) {
  std::vector<nb::dict> read;
  for (const Watches& one : of_sequence) read.push_back(one.read(n_heads));
  if (!packed) return stack_of(read);
  nb::list all;
  for (const nb::dict& one : read) all.append(one);
  return std::move(all);
}

}  // namespace saccade::python
