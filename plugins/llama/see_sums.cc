#include "plugins/llama/see_sums.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <numeric>
#include <span>

#include "saccade/attend/look.h"
#include "saccade/base/error.h"
#include "saccade/plan/nearest.h"
#include "saccade/see/class_masses.h"
#include "saccade/see/column_sums.h"
#include "saccade/see/diagonals.h"
#include "saccade/see/distance.h"
#include "saccade/see/entropy.h"
#include "saccade/see/norms.h"
#include "saccade/see/peaks.h"

namespace saccade::llama {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kKnown[] = {"peaks",     "norms",        "entropy",    "distance",
                                       "diagonals", "class_masses", "column_sums"};
constexpr std::size_t kTopKeys = 16;

/// The statistics of the file, by the probe that gives them; in the order of Probes::row.
constexpr struct {
  const char *name, *probe;
} kNames[] = {{"lse", "peaks"},
              {"largest", "peaks"},
              {"norm", "norms"},
              {"entropy", "entropy"},
              {"relative_entropy", "entropy"},
              {"distance", "distance"},
              {"clipped_distance", "distance"},
              {"self", "diagonals"},
              {"previous", "diagonals"},
              {"first", "class_masses"}};

std::vector<std::string_view> split(std::string_view names) {
  std::vector<std::string_view> all;
  for (std::size_t begin = 0; begin <= names.size();) {
    const std::size_t end = std::min(names.find('+', begin), names.size());
    const std::string_view name = names.substr(begin, end - begin);
    const auto* known = std::ranges::find(kKnown, name);
    if (known == std::end(kKnown)) {
      fail_user("unknown probe \"" + std::string(name) + "\"; " + suggest(name, kKnown));
    }
    all.push_back(*known);
    begin = end + 1;
  }
  return all;
}

/// Nine digits, which hold an f32; anything that is no number is null.
Json rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return std::isfinite(value) ? Json(std::strtod(text, nullptr)) : Json(nullptr);
}

/// The positions with the largest sums and their shares of all.
Json top_keys(const std::vector<double>& sums) {
  std::vector<std::size_t> keys(sums.size());
  std::iota(keys.begin(), keys.end(), 0U);
  const auto last = keys.begin() + static_cast<std::ptrdiff_t>(std::min(kTopKeys, keys.size()));
  std::ranges::partial_sort(
      keys, last, [&](std::size_t a, std::size_t b) { return sums[a] != sums[b] ? sums[a] > sums[b] : a < b; });
  const double all = std::accumulate(sums.begin(), sums.end(), 0.0);
  Json top = Json::array();
  for (auto key = keys.begin(); key != last; ++key)
    top.push_back({{"position", *key}, {"share", rounded(sums[*key] / all)}});
  return top;
}

}  // namespace

/// Those of one call.
struct SeeSums::Probes {
  Probes() {
    diagonals.offsets = {0, 1};
    masses.spans = {{"first", {0, 1}}};
    columns.squares = false;
  }

  see::Peaks peaks;
  see::Norms norms;
  see::Entropy entropy;
  see::Distance distance;
  see::Diagonals diagonals;
  see::ClassMasses masses;
  see::ColumnSums columns;
  std::vector<RowProbe*> first;  ///< told while the call runs
  std::vector<Probe*> second;    ///< shown its weights afterwards

  /// Adds the numbers of the call's query i, at q_pos.
  void add_row(int head, Pos i, Pos q_pos, std::array<double, kStatistics>& sums) const {
    const auto at = [&](const see::PerRow& values, Pos place = 0) {
      const bool seen = !values.q_positions().empty();  // or the probe is not wanted
      return seen ? double{values.row(head, values.q_positions().begin + i)[place]} : 0.0;
    };
    const double most = q_pos > 0 ? std::log(static_cast<double>(q_pos + 1)) : 1.0;
    const double row[] = {at(peaks.lse()),        at(peaks.largest()),         at(norms.values()),
                          at(entropy.values()),   at(entropy.values()) / most, at(distance.mean()),
                          at(distance.clipped()), at(diagonals.values()),      at(diagonals.values(), 1),
                          at(masses.values())};
    static_assert(std::size(row) == kStatistics && std::size(kNames) == kStatistics);
    for (std::size_t n = 0; n < kStatistics; ++n) sums[n] += row[n];
  }
};

SeeSums::SeeSums(std::string_view probes) : probes_(split(probes)) {}
SeeSums::~SeeSums() = default;

bool SeeSums::keeps(std::string_view probe) const { return std::ranges::find(probes_, probe) != probes_.end(); }

std::span<RowProbe* const> SeeSums::prepare(bool window) {
  std::unique_ptr<Probes>& made = running_[std::this_thread::get_id()];
  made = std::make_unique<Probes>();
  if (keeps("peaks")) made->first.push_back(&made->peaks);
  if (keeps("norms")) made->first.push_back(&made->norms);
  const auto add = [&](std::string_view name, auto& probe) {
    if (!keeps(name)) return;
    if (window) made->second.push_back(&probe);  // the first pass knows slots, not positions
    if (!window) made->first.push_back(&probe);
  };
  add("entropy", made->entropy);
  add("distance", made->distance);
  add("diagonals", made->diagonals);
  add("class_masses", made->masses);
  if (keeps("column_sums")) made->second.push_back(&made->columns);
  return made->first;
}

void SeeSums::look(const JudgedCall& judged) {
  const AttendCall& call = judged.call;
  const std::unique_ptr<Probes> probes = std::move(running_[std::this_thread::get_id()]);
  if (!probes->second.empty()) saccade::look(call, call.lse, probes->second, judged.team, workspace_);

  Layer& layer = layers_[judged.layer];
  const auto place = [&](std::size_t i) { return static_cast<std::size_t>(judged.heads[i]); };
  const auto has_seen = [&](const Heads& heads) { return heads.size() > place(0) && heads[place(0)].n_queries > 0; };
  if (call.q_begin == 0 && (has_seen(layer.prompt) || has_seen(layer.answer))) layer = {};
  layer.window = std::max(layer.window, judged.window);
  Heads& heads = call.q.len > 1 ? layer.prompt : layer.answer;
  const std::size_t n_heads = judged.heads.size();
  for (std::size_t i = 0; i < n_heads; ++i) {
    if (heads.size() <= place(i)) heads.resize(place(i) + 1);
    const auto index = static_cast<int>(i);
    Head& head = heads[place(i)];
    head.n_queries += call.q.len;
    for (Pos q = 0; q < call.q.len; ++q) probes->add_row(index, q, call.q_begin + q, head.sums);
    if (!keeps("column_sums")) continue;
    const std::span<const double> sums = probes->columns.sums().head(index);
    layer.columns.resize(std::max(layer.columns.size(), sums.size()));
    std::transform(sums.begin(), sums.end(), layer.columns.begin(), layer.columns.begin(), std::plus<>());
  }
}

std::string SeeSums::print() const {
  const auto means_of = [&](const Heads& heads) {
    Json out = {{"queries", heads.empty() ? 0 : std::ranges::max(heads, {}, &Head::n_queries).n_queries}};
    for (std::size_t i = 0; i < kStatistics; ++i) {
      if (!keeps(kNames[i].probe)) continue;
      Json& values = out[kNames[i].name] = Json::array();
      for (const Head& head : heads) values.push_back(rounded(head.sums[i] / static_cast<double>(head.n_queries)));
    }
    return out;
  };
  Json layers = Json::array();
  for (const auto& [index, layer] : layers_) {
    Json out = {{"layer", index}, {"window", layer.window}, {"queries_not_seen", layer.n_missed}};
    out["prompt"] = means_of(layer.prompt);
    out["answer"] = means_of(layer.answer);
    if (keeps("column_sums")) out["top_keys"] = top_keys(layer.columns);
    layers.push_back(std::move(out));
  }
  return Json{{"format", 1}, {"probes", probes_}, {"layers", std::move(layers)}}.dump() + "\n";
}

}  // namespace saccade::llama
