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

namespace saccade::llama {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kKnown[] = {"lse", "entropy", "distance", "diagonals", "class_masses", "column_sums"};
constexpr std::size_t kTopKeys = 16;

/// The statistics of the file, by the probe that gives them; in the order of SeeSums::Statistic.
constexpr struct {
  const char *name, *probe;
} kNames[] = {{"lse", "lse"},
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

struct SeeSums::Probes {
  Probes() {
    diagonals.offsets = {0, 1};
    masses.spans = {{"first", {0, 1}}};
    columns.squares = false;
  }
  see::Entropy entropy;
  see::Distance distance;
  see::Diagonals diagonals;
  see::ClassMasses masses;
  see::ColumnSums columns;
};

SeeSums::SeeSums(std::string_view probes) : probes_(split(probes)) {}

bool SeeSums::keeps(std::string_view probe) const { return std::ranges::find(probes_, probe) != probes_.end(); }

void SeeSums::look(const JudgedCall& judged) {
  const AttendCall& call = judged.call;
  Probes probes;
  std::vector<Probe*> wanted;
  if (keeps("entropy")) wanted.push_back(&probes.entropy);
  if (keeps("distance")) wanted.push_back(&probes.distance);
  if (keeps("diagonals")) wanted.push_back(&probes.diagonals);
  if (keeps("class_masses")) wanted.push_back(&probes.masses);
  if (keeps("column_sums")) wanted.push_back(&probes.columns);
  if (!wanted.empty()) saccade::look(call, call.lse, wanted, judged.team, workspace_);

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
    for (Pos q = 0; q < call.q.len; ++q) {
      const float lse = call.lse[static_cast<std::size_t>(q) * n_heads + i];
      add_row(heads[place(i)], index, call.q_begin + q, lse, probes);
    }
    if (!keeps("column_sums")) continue;
    const std::span<const double> sums = probes.columns.sums().head(index);
    layer.columns.resize(std::max(layer.columns.size(), sums.size()));
    std::transform(sums.begin(), sums.end(), layer.columns.begin(), layer.columns.begin(), std::plus<>());
  }
}

void SeeSums::add_row(Head& head, int index, Pos q_pos, float lse, const Probes& probes) const {
  const auto row = [&](const see::PerRow& values) { return values.row(index, q_pos); };
  ++head.n_queries;
  head.sums[kLse] += double{lse};
  if (keeps("entropy")) {
    const double entropy = *row(probes.entropy.values());
    head.sums[kEntropy] += entropy;
    head.sums[kRelative] += q_pos == 0 ? 0 : entropy / std::log(static_cast<double>(q_pos + 1));
  }
  if (keeps("distance")) {
    head.sums[kDistance] += double{*row(probes.distance.mean())};
    head.sums[kClipped] += double{*row(probes.distance.clipped())};
  }
  if (keeps("diagonals")) {
    head.sums[kSelf] += double{row(probes.diagonals.values())[0]};
    head.sums[kPrevious] += double{row(probes.diagonals.values())[1]};
  }
  if (keeps("class_masses")) head.sums[kFirst] += double{*row(probes.masses.values())};
}

std::string SeeSums::print() const {
  const auto means_of = [&](const Heads& heads) {
    Json out = {{"queries", heads.empty() ? 0 : std::ranges::max(heads, {}, &Head::n_queries).n_queries}};
    for (std::size_t i = 0; i < kCount; ++i) {
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
