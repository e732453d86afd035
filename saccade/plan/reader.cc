#include "saccade/plan/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <system_error>

#include "saccade/base/error.h"
#include "saccade/plan/nearest.h"
#include "saccade/plan/quote.h"

namespace saccade {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kPlanKeys[] = {"default", "rows"};
constexpr std::string_view kDefaultKeys[] = {"attn", "precision", "linear"};
constexpr std::string_view kRowKeys[] = {"attn", "heads", "layers", "steer"};
constexpr Pos kMostNumber = 1'000'000;  // no model has as many layers or heads; keeps sums far from overflow

/// Our own line for what nlohmann says: "[json.exception.parse_error.101] parse error at line 1, column 2: ...".
[[noreturn]] void fail_json(std::string_view what) {
  const std::size_t bracket = what.find("] ");
  if (bracket != std::string_view::npos) what.remove_prefix(bracket + 2);
  fail_user("plan: invalid JSON, " + one_line(what, 200));
}

/// Parses, and refuses a key that stands twice in one object (nlohmann keeps the last in silence).
Json parse_json(std::string_view text) {
  std::vector<std::set<std::string>> seen;
  const auto look = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) seen.emplace_back();
    if (event == Json::parse_event_t::object_end) seen.pop_back();
    if (event == Json::parse_event_t::key && !seen.back().insert(parsed.get<std::string>()).second) {
      fail_user(fmt::format("plan: key {} appears twice in one object", quote(parsed.get<std::string>())));
    }
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), look);
  } catch (const Json::exception& error) {
    fail_json(error.what());
  }
}

void check_keys(const Json& object, std::string_view place, std::span<const std::string_view> known) {
  const std::string_view in = place.empty() ? "the plan" : place;
  if (!object.is_object()) fail_user(fmt::format("plan: {} must be an object, got {}", in, object.type_name()));
  for (const auto& [key, value] : object.items()) {
    if (std::ranges::find(known, key) != known.end()) continue;
    fail_user(fmt::format("plan: unknown key {} in {}; {}", quote(key), in, suggest(key, known)));
  }
}

/// The spec under a key, if it is there; built once here, where an error can still say in which row.
template <class Build>
std::optional<Spec> read_spec(const Json& row, std::string_view key, std::string_view place, Build build) {
  if (!row.contains(key)) return std::nullopt;
  const Json& typed = row[key];
  if (!typed.is_string()) fail_user(fmt::format("plan: {}.{} must be a string, got {}", place, key, typed.type_name()));
  try {
    Spec spec = parse_spec(typed.get_ref<const std::string&>());
    build(spec);
    return spec;
  } catch (const Error& error) {
    throw Error(error.fault(), fmt::format("plan: {}.{}: {}", place, key, error.what()));
  }
}

std::optional<Spec> read_attn(const Json& row, std::string_view place) {
  return read_spec(row, "attn", place, build_choice);
}

/// A word under this key of the default, as `parse` understands it; nothing when the key is not there.
template <class Parse>
auto read_word(const Json& row, const char* key, Parse parse) -> std::optional<decltype(parse(std::string_view()))> {
  if (!row.contains(key)) return std::nullopt;
  const Json& word = row[key];
  if (!word.is_string()) fail_user(fmt::format("plan: default.{} must be a string, got {}", key, word.type_name()));
  try {
    return parse(word.get_ref<const std::string&>());
  } catch (const Error& error) {
    throw Error(error.fault(), fmt::format("plan: default.{}", error.what()));
  }
}

/// One number at the front of `text`, spaces around it taken too; -1 when there is none.
Pos take_number(std::string_view& text) {
  const auto skip_spaces = [&] { text.remove_prefix(std::min(text.find_first_not_of(' '), text.size())); };
  skip_spaces();
  Pos number = -1;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc::result_out_of_range) number = kMostNumber + 1;
  text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
  skip_spaces();
  return number;
}

}  // namespace

std::vector<Range> read_ranges(std::string_view text, std::string_view place) {
  const std::string_view whole = text;
  std::vector<Range> ranges;
  for (bool more = true; more;) {
    const Pos first = take_number(text);
    Pos last = first;
    if (text.starts_with('-')) {
      text.remove_prefix(1);
      last = take_number(text);
    }
    more = text.starts_with(',');
    if (first < 0 || last < 0 || (!more && !text.empty())) {
      fail_user(fmt::format("plan: {} must be numbers and ranges such as \"0,3-5\", got {}", place, quote(whole)));
    }
    if (last < first)
      fail_user(fmt::format("plan: {} has a range that ends before it begins, {}-{}", place, first, last));
    if (last > kMostNumber)
      fail_user(fmt::format("plan: {} must stay below {}, got {}", place, kMostNumber, quote(whole)));
    if (more) text.remove_prefix(1);
    ranges.push_back({first, last + 1});
  }
  return ranges;
}

namespace {

std::vector<Range> ranges_of(const Json& row, const char* key, std::string_view place) {
  if (!row.contains(key)) return {};
  const Json& value = row[key];
  const std::string at = fmt::format("{}.{}", place, key);
  if (value.is_string()) return read_ranges(value.get_ref<const std::string&>(), at);
  if (value.is_number_integer()) return read_ranges(value.dump(), at);
  fail_user(
      fmt::format("plan: {} must be numbers and ranges such as \"0,3-5\", got {}", at, one_line(value.dump(), 100)));
}

std::string print_ranges(const std::vector<Range>& ranges) {
  std::string out;
  for (const Range& range : ranges) {
    if (!out.empty()) out += ',';
    out += fmt::to_string(range.begin);
    if (range.size() > 1) out += fmt::format("-{}", range.end - 1);
  }
  return out;
}

}  // namespace

Precision parse_precision(std::string_view word) {
  for (const Precision precision : {Precision::kAuto, Precision::kF32, Precision::kI16, Precision::kBf16}) {
    if (word == name_of(precision)) return precision;
  }
  fail_user(fmt::format("precision: must be auto, f32, i16 or bf16, got {}", quote(word)));
}

LinearLayers parse_linear(std::string_view word) {
  for (const LinearLayers layers : {LinearLayers::kAuto, LinearLayers::kGgml}) {
    if (word == name_of(layers)) return layers;
  }
  fail_user(fmt::format("linear: must be auto or ggml, got {}", quote(word)));
}

PlanRows read_plan(std::string_view text) {
  const Json json = parse_json(text);
  PlanRows plan;
  plan.default_row.attn = parse_spec("dense");
  check_keys(json, "", kPlanKeys);
  if (json.contains("default")) {
    check_keys(json["default"], "default", kDefaultKeys);
    const Json& row = json["default"];
    plan.precision = read_word(row, "precision", parse_precision).value_or(Precision::kAuto);
    plan.linear = read_word(row, "linear", parse_linear).value_or(LinearLayers::kAuto);
    if (row.empty()) fail_user("plan: default has no \"attn\", so it sets nothing");
    if (row.contains("attn")) plan.default_row.attn = read_attn(row, "default");
  }
  if (!json.contains("rows")) return plan;
  const Json& rows = json["rows"];
  if (!rows.is_array()) fail_user(fmt::format("plan: rows must be an array, got {}", rows.type_name()));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::string place = fmt::format("rows[{}]", i);
    check_keys(rows[i], place, kRowKeys);
    Plan::Row row{.layers = ranges_of(rows[i], "layers", place),
                  .heads = ranges_of(rows[i], "heads", place),
                  .attn = read_attn(rows[i], place),
                  .steer = read_spec(rows[i], "steer", place, build_edit)};
    if (!row.attn && !row.steer)
      fail_user(fmt::format("plan: {} has neither \"attn\" nor \"steer\", so it sets nothing", place));
    plan.rows.push_back(std::move(row));
  }
  return plan;
}

std::string write_plan(const PlanRows& plan) {
  Json json;
  json["default"]["attn"] = print_spec(*plan.default_row.attn);
  if (plan.precision != Precision::kAuto) json["default"]["precision"] = name_of(plan.precision);
  if (plan.linear != LinearLayers::kAuto) json["default"]["linear"] = name_of(plan.linear);
  json["rows"] = Json::array();
  for (const Plan::Row& row : plan.rows) {
    Json out;
    if (!row.layers.empty()) out["layers"] = print_ranges(row.layers);
    if (!row.heads.empty()) out["heads"] = print_ranges(row.heads);
    if (row.attn) out["attn"] = print_spec(*row.attn);
    if (row.steer) out["steer"] = print_spec(*row.steer);
    json["rows"].push_back(std::move(out));
  }
  return json.dump();
}

}  // namespace saccade
