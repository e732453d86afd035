#include "apps/saccade/inspect_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace saccade::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kSinkEpsilon = 0.3;  // Gu et al. 2025
constexpr std::size_t kMostSinks = 10, kMostMassive = 20;
constexpr Coding kReceivedCoding{Coding::Kind::kLog2, 6, 6.0e-8};  // 2^-24
constexpr Coding kShareCoding{Coding::Kind::kLinear, 255, 0};
constexpr Coding kDistanceCoding{Coding::Kind::kLog2OfMore, 12, 0};

/// A sixteenth of what an even spread would give a block counts as nothing; the page's colours begin at twice that.
Coding map_coding(Pos size, double steps) {
  return {Coding::Kind::kLog2, steps, 1.0 / (16 * static_cast<double>(size))};
}

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// Enough digits for a reader; a report holds thousands of them.
double rounded(double x) { return x == 0 || !std::isfinite(x) ? 0 : std::stod(fmt::format("{:.4g}", x)); }

double ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

struct Metric {
  const char *key, *name, *unit, *scale, *help;
  double (*of)(const HeadSums&);
};

double of_queries(double sum, const HeadSums& head) { return ratio(sum, static_cast<double>(head.n_queries)); }

constexpr Metric kMetrics[] = {
    {"spread", "spread", "mass", "linear", "entropy of a token's attention, of an even spread; mean of all tokens",
     [](const HeadSums& head) { return of_queries(head.spread, head); }},
    {"distance", "distance", "tokens", "log", "how far back it looks, the first token left out",
     [](const HeadSums& head) { return ratio(head.distance, head.not_first); }},
    {"first", "on the first token", "mass", "linear", "share of its attention on the first token",
     [](const HeadSums& head) { return of_queries(head.first, head); }},
    {"previous", "on the previous token", "mass", "linear", "share of its attention one token back",
     [](const HeadSums& head) { return of_queries(head.previous, head); }},
    {"self", "on itself", "mass", "linear", "share of its attention on the token itself",
     [](const HeadSums& head) { return of_queries(head.self, head); }},
    {"text", "on the text", "mass", "linear", "share of its attention on the text",
     [](const HeadSums& head) { return of_queries(head.in_text, head); }},
    {"question", "on the question", "mass", "log",
     "share of its attention on the question, which only it and the answer see",
     [](const HeadSums& head) { return of_queries(head.in_question, head); }},
    {"density", "pairs computed", "mass", "linear", "pairs of a query and a key that the plan computed, of all",
     [](const HeadSums& head) {
       return ratio(static_cast<double>(head.pairs_visited), static_cast<double>(head.pairs_dense));
     }},
};

/// docs/cli.md says the same in words.
const char* class_of(const HeadSums& head, Pos n_prompt) {
  if (head.n_queries == 0) return "not seen";
  if (of_queries(head.first, head) > 0.5) return "sink";
  if (of_queries(head.previous, head) > 0.3) return "previous token";
  return ratio(head.distance, head.not_first) < static_cast<double>(n_prompt) / 16 ? "local" : "global";
}

template <class Of>
Json by_layer_and_head(const GazeShape& shape, Of of) {
  Json layers = Json::array();
  for (int layer = 0; layer < shape.n_layers; ++layer) {
    Json heads = Json::array();
    for (int head = 0; head < shape.n_heads; ++head) heads.push_back(of(layer, head));
    layers.push_back(std::move(heads));
  }
  return layers;
}

template <class Of>
Json each(int n, Of of) {
  Json all = Json::array();
  for (int i = 0; i < n; ++i) all.push_back(of(i));
  return all;
}

Json heads(const Gaze& gaze) {
  Json metrics = Json::array();
  for (const Metric& metric : kMetrics) {
    metrics.push_back({{"key", metric.key},
                       {"name", metric.name},
                       {"unit", metric.unit},
                       {"scale", metric.scale},
                       {"help", metric.help},
                       {"values", by_layer_and_head(gaze.shape(), [&](int layer, int head) {
                          return rounded(metric.of(gaze.head(layer, head)));
                        })}});
  }
  return {{"metrics", std::move(metrics)}, {"classes", by_layer_and_head(gaze.shape(), [&](int layer, int head) {
                                              return class_of(gaze.head(layer, head), gaze.shape().n_prompt);
                                            })}};
}

Json maps(const Gaze& gaze) {
  const Pos size = gaze.small_size();
  return {{"size", size}, {"layers", each(gaze.shape().n_layers, [&](int layer) {
                             std::vector<float> all;
                             for (int head = 0; head < gaze.shape().n_heads; ++head) {
                               const auto one = gaze.small_map(layer, head);
                               all.insert(all.end(), one.begin(), one.end());
                             }
                             return packed(all, {gaze.shape().n_heads, size * (size + 1) / 2}, map_coding(size, 6));
                           })}};
}

Json large(const Gaze& gaze) {
  const Pos size = gaze.large_size();
  return {{"size", size}, {"heads", each(static_cast<int>(gaze.shape().chosen.size()), [&](int i) {
                             return packed(gaze.large_map(at(i)), {size * (size + 1) / 2}, map_coding(size, 4));
                           })}};
}

/// The first n of each row of n_most.
template <class T>
std::vector<T> cut(std::span<const T> rows, Pos n_most, Pos n) {
  std::vector<T> kept;
  for (std::size_t begin = 0; begin + at(n_most) <= rows.size(); begin += at(n_most))
    kept.insert(kept.end(), rows.begin() + static_cast<std::ptrdiff_t>(begin),
                rows.begin() + static_cast<std::ptrdiff_t>(begin + at(n)));
  return kept;
}

Json top_keys(const Gaze& gaze, Pos n_tokens) {
  const Pos n_most = gaze.shape().n_most;
  const int n_planes = n_tokens < 65535 ? 2 : 3;
  return {{"k", Gaze::kTopKeys},
          {"layers", each(gaze.shape().n_layers, [&](int layer) {
             const auto keys = cut(gaze.top_keys(layer), n_most, n_tokens);
             std::vector<std::uint8_t> planes;
             for (int plane = 0; plane < n_planes; ++plane)
               for (const auto key : keys) planes.push_back(static_cast<std::uint8_t>(key >> (8 * plane)));
             return Json{{"keys", packed(planes, {n_planes, Gaze::kTopKeys, n_tokens}, {Coding::Kind::kLinear, 1, 0})},
                         {"weights", packed(cut(gaze.top_weights(layer), n_most, n_tokens), {Gaze::kTopKeys, n_tokens},
                                            Gaze::kTopCoding)}};
           })}};
}

/// Kept rows of queries that ran; the answer may have ended early.
Json looked(const Gaze& gaze, Pos n_rows, Pos n_tokens) {
  const Pos n_most = gaze.shape().n_most;
  const auto first = [&](std::span<const std::uint8_t> codes) {
    return packed(cut(codes.first(at(n_rows * n_most)), n_most, n_tokens), {n_rows, n_tokens}, gaze.row_coding());
  };
  const std::vector<float> all = gaze.all_rows();
  return {{"all", packed(cut(std::span(all).first(at(n_rows * n_most)), n_most, n_tokens), {n_rows, n_tokens},
                         gaze.row_coding())},
          {"layers", each(gaze.shape().n_layers, [&](int layer) { return first(gaze.layer_rows(layer)); })},
          {"heads",
           each(static_cast<int>(gaze.shape().chosen.size()), [&](int i) { return first(gaze.chosen_rows(at(i))); })}};
}

Json answer_bins(const Gaze& gaze) {
  return {{"n_bins", gaze.n_bins()},
          {"bin_len", gaze.bin_len()},
          {"layers", each(gaze.shape().n_layers, [&](int layer) {
             return packed(gaze.answer_bins(layer), {2, gaze.shape().n_heads, gaze.n_bins()}, Gaze::kBinCoding);
           })}};
}

/// Lines along the text: the mean of all layers, each layer's, each chosen head's.
template <class OfLayer, class OfChosen>
Json along(const Gaze& gaze, Pos n_tokens, const Coding& coding, OfLayer of_layer, OfChosen of_chosen) {
  const GazeShape& shape = gaze.shape();
  std::vector<float> mean(at(n_tokens));
  Json layers = each(shape.n_layers, [&](int layer) {
    const auto values = of_layer(layer);
    for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += values[i] / static_cast<float>(shape.n_layers);
    return packed(std::span<const float>(values).first(mean.size()), {n_tokens}, coding);
  });
  Json chosen = each(static_cast<int>(shape.chosen.size()), [&](int i) {
    const auto values = of_chosen(at(i));
    return packed(std::span<const float>(values).first(mean.size()), {n_tokens}, coding);
  });
  return {{"all", packed(std::span<const float>(mean), {n_tokens}, coding)},
          {"layers", std::move(layers)},
          {"heads", std::move(chosen)}};
}

Json received(const Gaze& gaze, Pos n_tokens) {
  const GazeShape& shape = gaze.shape();
  return along(
      gaze, n_tokens, kReceivedCoding,
      [&](int layer) {
        std::vector<float> mean(at(shape.n_most));
        for (int head = 0; head < shape.n_heads; ++head) {
          const auto one = gaze.received(layer, head);
          for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += one[i] / static_cast<float>(shape.n_heads);
        }
        return mean;
      },
      [&](std::size_t i) { return gaze.received(shape.chosen[i].layer, shape.chosen[i].head); });
}

/// Tokens that are sinks in some head, those of most heads first.
Json sinks(const Gaze& gaze) {
  struct Sink {
    int n_heads = 0;
    double sum = 0;
  };
  const GazeShape& shape = gaze.shape();
  std::map<Pos, Sink> found;
  for (int layer = 0; layer < shape.n_layers; ++layer) {
    // Where few are left to look, much is easily had: the last 64 tokens are no sinks.
    const Pos last = std::max<Pos>(1, gaze.n_seen(layer) - 64);
    for (int head = 0; head < shape.n_heads; ++head) {
      const auto mean = gaze.received(layer, head);
      for (Pos key = 0; key < last; ++key) {
        if (static_cast<double>(mean[at(key)]) <= kSinkEpsilon) continue;
        ++found[key].n_heads;
        found[key].sum += static_cast<double>(mean[at(key)]);
      }
    }
  }
  found.try_emplace(0);  // its rate is always told
  std::vector<std::pair<Pos, Sink>> order(found.begin(), found.end());
  std::ranges::stable_sort(order, [](const auto& a, const auto& b) { return a.second.n_heads > b.second.n_heads; });
  Json tokens = Json::array();
  for (const auto& [position, sink] : order) {
    if (tokens.size() == kMostSinks) break;
    tokens.push_back(
        {{"position", position}, {"heads", sink.n_heads}, {"mean", rounded(ratio(sink.sum, sink.n_heads))}});
  }
  int n_early = 0;
  const auto early = static_cast<double>(std::min(Gaze::kEarly, shape.n_prompt));
  for (int layer = 0; layer < shape.n_layers; ++layer)
    for (int head = 0; head < shape.n_heads; ++head)
      if (gaze.head(layer, head).first_early / early > kSinkEpsilon) ++n_early;
  return {{"epsilon", kSinkEpsilon},
          {"rate_early", rounded(ratio(n_early, shape.n_layers * shape.n_heads))},
          {"n_early", std::min(Gaze::kEarly, shape.n_prompt)},
          {"rate", rounded(ratio(found[0].n_heads, shape.n_layers * shape.n_heads))},
          {"tokens", std::move(tokens)}};
}

Json rows(const Gaze& gaze, Pos n_tokens, const std::vector<std::string>& answered) {
  Json all = Json::array();
  for (const Pos position : gaze.shape().rows) {
    const Pos i = position + 1 - gaze.shape().n_prompt;
    // The row of the answer's i-th token is the query from which it was chosen.
    if (position >= n_tokens || i >= static_cast<Pos>(answered.size())) break;
    all.push_back(
        {{"position", position}, {"kind", i >= 0 ? "answer" : "listed"}, {"chooses", i >= 0 ? answered[at(i)] : ""}});
  }
  return all;
}

std::string seconds(double s) { return fmt::format("{:.2f} s", s); }

/// 1234567 as "1,234,567".
std::string grouped(std::int64_t n) {
  std::string text = std::to_string(n);
  for (auto i = static_cast<std::ptrdiff_t>(text.size()) - 3; i > 0; i -= 3)
    text.insert(static_cast<std::size_t>(i), ",");
  return text;
}

Json run(const RunRecord& record) {
  const auto pair = [](const char* key, std::string value) { return Json::array({key, std::move(value)}); };
  const auto& attended = record.attended;
  const double attention_s = static_cast<double>(attended.attention_ns) * 1e-9;
  const auto share = density(attended);
  Json skipped = Json::array();
  skipped.push_back(pair("pairs computed", grouped(attended.pairs_visited)));
  skipped.push_back(pair("pairs of dense", grouped(attended.pairs_dense)));
  skipped.push_back(pair("skipped", share ? fmt::format("{:.2f} %", 100 * (1 - *share)) : "unknown"));
  skipped.push_back(pair("calls", fmt::format("{}", attended.calls)));
  skipped.push_back(pair("calls not seen", fmt::format("{}", attended.calls_not_causal)));
  skipped.push_back(pair("heads chosen by a selector", fmt::format("{}", attended.heads_chosen)));
  skipped.push_back(pair("of these dense by rule, floor, cost",
                         fmt::format("{}, {}, {}", attended.heads_dense_by_rule, attended.heads_dense_by_floor,
                                     attended.heads_dense_by_cost)));
  return Json::array(
      {{{"name", "Time"},
        {"rows", Json::array({pair("reading", seconds(record.prefill_s)), pair("answering", seconds(record.decode_s)),
                              pair("in attention", seconds(attention_s)),
                              pair("looking", seconds(static_cast<double>(attended.judged_ns) * 1e-9))})}},
       {{"name", "What was skipped"}, {"rows", std::move(skipped)}},
       {{"name", "Set-up"},
        {"rows", Json::array({pair("attention", record.attention.typed),
                              pair("precision", std::string(name_of(record.attention.plan->precision()))),
                              pair("threads", fmt::format("{}", record.n_threads)),
                              pair("context", fmt::format("{}", record.n_ctx)),
                              pair("batch", fmt::format("{}", record.n_ubatch)),
                              pair("keys and values",
                                   fmt::format("{:.1f} MiB", static_cast<double>(record.kv_bytes) / (1 << 20)))})}}});
}

}  // namespace

std::vector<HeadName> spread_heads(int n_layers, int n_heads, int n_chosen) {
  std::vector<HeadName> chosen;
  n_chosen = std::min(n_chosen, n_layers * n_heads);
  for (int i = 0; i < n_chosen; ++i) {
    // 5 has no common factor with most numbers of heads, so that neighbours differ and all come in turn.
    HeadName name{(2 * i + 1) * n_layers / (2 * n_chosen), i * 5 % n_heads};
    while (std::ranges::find(chosen, name) != chosen.end()) name.head = (name.head + 1) % n_heads;
    chosen.push_back(name);
  }
  return chosen;
}

Json inspect_report(const Gaze& gaze, const RunRecord& record, const InspectedText& text) {
  const GazeShape& shape = gaze.shape();
  const Pos n_tokens = record.n_prompt + record.n_decoded;
  const auto answered = whole_characters(text.answered);
  Json kept = rows(gaze, n_tokens, answered);
  std::string rest;
  const auto n_rows = static_cast<Pos>(kept.size());
  const auto n_shown =
      static_cast<std::size_t>(std::ranges::count_if(kept, [](const Json& row) { return row["kind"] == "answer"; }));
  for (std::size_t i = n_shown; i < answered.size(); ++i) rest += answered[i];
  const std::string name = record.model.substr(record.model.rfind('/') + 1);
  Json report = {
      {"format", "saccade inspect 1"},
      {"model", {{"name", name}, {"n_layers", shape.n_layers}, {"n_heads", shape.n_heads}}},
      {"text",
       {{"file", text.file},
        {"question", text.question},
        {"answer", text.answer},
        {"answer_rest", rest},
        {"n_prompt", record.n_prompt},
        {"n_tokens", n_tokens},
        {"begin", shape.text.begin},
        {"end", shape.text.end}}},
      {"facts", Json::array({Json::array({"model", name}),
                             Json::array({"prompt", fmt::format("{} tokens", grouped(record.n_prompt))}),
                             Json::array({"heads", fmt::format("{} × {}", shape.n_layers, shape.n_heads)}),
                             Json::array({"attention", record.attention.typed})})},
      {"record", to_json(record)},
      {"plan", record.attention.plan->print()},
      {"run", run(record)},
      {"heads", heads(gaze)},
      {"sinks", sinks(gaze)},
      {"chosen", each(static_cast<int>(shape.chosen.size()),
                      [&](int i) {
                        return Json{{"layer", shape.chosen[at(i)].layer}, {"head", shape.chosen[at(i)].head}};
                      })},
      {"rows", std::move(kept)},
      {"pieces", whole_characters(text.pieces)},
      {"control", text.control}};
  report["maps"] = maps(gaze);
  report["large"] = large(gaze);
  report["top_keys"] = top_keys(gaze, n_tokens);
  report["looked"] = looked(gaze, n_rows, n_tokens);
  report["answer_bins"] = answer_bins(gaze);
  report["received"] = received(gaze, n_tokens);
  report["entropy"] = along(
      gaze, n_tokens, kShareCoding, [&](int layer) { return gaze.spread(layer); },
      [&](std::size_t i) { return gaze.chosen_spread(i); });
  report["distance"] = {{"layers", each(shape.n_layers, [&](int layer) {
                           return packed(gaze.distance(layer).first(at(n_tokens)), {n_tokens}, kDistanceCoding);
                         })}};
  return report;
}

Json massive_report(std::span<const judge::MassiveActivation> found) {
  struct Place {
    double value = 0;
    int first_layer = 0, last_layer = 0, n_layers = 0;
  };
  std::map<std::pair<Pos, Pos>, Place> places;
  for (const auto& one : found) {
    Place& place = places.try_emplace({one.position, one.dim}, Place{0, one.layer, one.layer, 0}).first->second;
    if (std::fabs(one.value) > std::fabs(place.value)) place.value = static_cast<double>(one.value);
    place.first_layer = std::min(place.first_layer, one.layer);
    place.last_layer = std::max(place.last_layer, one.layer);
    ++place.n_layers;
  }
  std::vector<std::pair<std::pair<Pos, Pos>, Place>> order(places.begin(), places.end());
  std::ranges::stable_sort(
      order, [](const auto& a, const auto& b) { return std::fabs(a.second.value) > std::fabs(b.second.value); });
  Json list = Json::array();
  for (const auto& [at_place, place] : order) {
    if (list.size() == kMostMassive) break;
    list.push_back({{"position", at_place.first},
                    {"dim", at_place.second},
                    {"value", rounded(place.value)},
                    {"first_layer", place.first_layer},
                    {"last_layer", place.last_layer},
                    {"n_layers", place.n_layers}});
  }
  return {{"n", places.size()}, {"largest", std::move(list)}};
}

std::string summary(const Json& report) {
  std::map<std::string, int> classes;
  int n_heads = 0;
  for (const auto& layer : report["heads"]["classes"])
    for (const auto& one : layer) ++classes[one.get<std::string>()], ++n_heads;
  std::string heads;
  for (const auto& [name, count] : classes) heads += fmt::format("{}{} {}", heads.empty() ? "" : ", ", count, name);
  const auto& sinks = report["sinks"];
  std::string text = fmt::format(
      "what it looked at\n  {:<11} {} of {}\n  {:<11} the first token: more than {} of the attention in {:.1f} % of "
      "the heads; of the first {} tokens' in {:.1f} %\n",
      "heads", heads, n_heads, "sink", sinks["epsilon"].get<double>(), 100 * sinks["rate"].get<double>(),
      sinks["n_early"].get<int>(), 100 * sinks["rate_early"].get<double>());
  const auto& massive = report["massive"];
  if (massive["n"].get<int>() == 0) return text + fmt::format("  {:<11} no activation\n", "massive");
  const auto& largest = massive["largest"][0];
  return text + fmt::format("  {:<11} {} activations; the largest, {:.0f}, of token {} in dimension {}, layers {}-{}\n",
                            "massive", massive["n"].get<int>(), largest["value"].get<double>(),
                            largest["position"].get<Pos>(), largest["dim"].get<Pos>(),
                            largest["first_layer"].get<int>(), largest["last_layer"].get<int>());
}

}  // namespace saccade::app
