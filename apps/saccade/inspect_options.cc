#include "apps/saccade/inspect_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "apps/saccade/inspect_report.h"
#include "saccade/base/error.h"
#include "saccade/judge/multineedle.h"
#include "saccade/plan/nearest.h"
#include "saccade/plan/quote.h"

namespace saccade::app {
namespace {

constexpr std::size_t kMostHeads = 16, kMostPositions = 64;

std::vector<std::string_view> split(std::string_view list) {
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    parts.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

void check_proof(const InspectOptions& options) {
  constexpr std::string_view kProofs[] = {"retrieval"};
  if (std::ranges::find(kProofs, options.prove) == std::end(kProofs))
    fail_user(fmt::format("--prove: unknown claim {}; {}", quote(options.prove), suggest(options.prove, kProofs)));
  in_range("--needles", options.n_needles, 1, static_cast<std::int64_t>(judge::kMostNeedles));
  in_range("--mask", options.n_masked, 1, 1 << 20);
  if (!options.question.empty() || !options.heads.empty() || !options.tokens.empty())
    fail_user("--prove asks its own questions and finds its own heads: it goes without -p, --heads and --tokens");
  if (!options.output.empty() && !options.output.ends_with(".json") && !options.output.ends_with(".html"))
    fail_user(fmt::format("-o must end in .json (the plan that masks the heads) or .html (the report), got '{}'",
                          options.output));
}

}  // namespace

void check(const InspectOptions& options) {
  check(static_cast<const RunOptions&>(options));
  in_range("-n", options.n_tokens, 1, 1 << 20);
  if (!options.prove.empty()) return check_proof(options);
  if (!options.output.empty() && !options.output.ends_with(".html"))
    fail_user(fmt::format("-o must end in .html, got '{}'", options.output));
}

Attention attention_of(const InspectOptions& options) {
  Attention attention = options.given_plan ? attention_from_plan(options.plan) : attention_from_spec(options.attn);
  if (!attention.ours())
    fail_user(fmt::format("--attn {}: only attention of ours can be inspected, llama.cpp's own shows nothing",
                          attention.typed));
  if (options.given_precision) attention = in_precision(std::move(attention), options.precision);
  if (options.given_linear) attention = with_linear(std::move(attention), options.linear);
  return attention;
}

std::vector<HeadName> parse_heads(const std::string& list, const ModelFacts& model) {
  if (list.empty()) return spread_heads(model.n_layers, model.n_heads, static_cast<int>(kMostHeads));
  std::vector<HeadName> heads;
  for (const std::string_view part : split(list)) {
    const std::size_t dot = std::min(part.find('.'), part.size());
    const auto layer = number<int>(part.substr(0, dot));
    const auto head = number<int>(part.substr(std::min(dot + 1, part.size())));
    if (!layer || !head) fail_user(fmt::format("--heads: it is LAYER.HEAD,..., e.g. 3.7,12.0, got '{}'", part));
    if (*layer >= model.n_layers)
      fail_user(fmt::format("--heads: the model has {} layers, there is no layer {}", model.n_layers, *layer));
    if (*head >= model.n_heads)
      fail_user(fmt::format("--heads: the model has {} heads a layer, there is no head {}", model.n_heads, *head));
    if (std::ranges::find(heads, HeadName{*layer, *head}) == heads.end()) heads.push_back({*layer, *head});
  }
  if (heads.size() > kMostHeads)
    fail_user(fmt::format("--heads: at most {} heads are kept in detail, got {}", kMostHeads, heads.size()));
  return heads;
}

std::vector<Pos> parse_positions(const std::string& list, Pos n_prompt) {
  std::vector<Pos> positions;
  if (list.empty()) return positions;
  for (const std::string_view part : split(list)) {
    const std::size_t dash = std::min(part.find('-'), part.size());
    const auto first = number<Pos>(part.substr(0, dash));
    const auto last = dash < part.size() ? number<Pos>(part.substr(dash + 1)) : first;
    if (!first || !last || *last < *first)
      fail_user(fmt::format("--tokens: it is POSITION or FIRST-LAST, with commas between, got '{}'", part));
    if (*last >= n_prompt)
      fail_user(fmt::format("--tokens: the prompt has {} tokens, there is no position {}", n_prompt, *last));
    for (Pos position = *first; position <= *last && positions.size() <= kMostPositions; ++position)
      positions.push_back(position);
  }
  std::ranges::sort(positions);
  positions.erase(std::ranges::unique(positions).begin(), positions.end());
  if (positions.size() > kMostPositions)
    fail_user(fmt::format("--tokens: at most {} positions can be listed", kMostPositions));
  return positions;
}

}  // namespace saccade::app
