#include "saccade/plan/fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <system_error>

#include "saccade/base/error.h"
#include "saccade/plan/nearest.h"
#include "saccade/plan/quote.h"

namespace saccade {
namespace {

[[noreturn]] void fail_value(std::string_view place, std::string_view name, std::string_view rule,
                             std::string_view typed) {
  fail_user(fmt::format("{}: {} must be {}, got {}", place, name, rule, typed));
}

/// std::from_chars over the whole text; std::errc::invalid_argument when something is left over.
template <class T>
std::errc read_all(std::string_view typed, T& value) {
  const char* end = typed.data() + typed.size();
  const auto [stop, error] = std::from_chars(typed.data(), end, value);
  return error == std::errc{} && stop != end ? std::errc::invalid_argument : error;
}

}  // namespace

void read_value(std::string_view place, std::string_view name, std::string_view typed, Pos& value) {
  const std::errc error = read_all(typed, value);
  if (error == std::errc::result_out_of_range) fail_value(place, name, "a number that fits in 64 bits", typed);
  if (error != std::errc{}) fail_value(place, name, "a whole number", typed);
}

void read_value(std::string_view place, std::string_view name, std::string_view typed, double& value) {
  const std::errc error = read_all(typed, value);
  if (error == std::errc::result_out_of_range) fail_value(place, name, "a number that fits in 64 bits", typed);
  if (error != std::errc{} || !std::isfinite(value)) fail_value(place, name, "a number", typed);
}

void read_value(std::string_view place, std::string_view name, std::string_view typed, std::string& value) {
  const bool is_word = !typed.empty() && (typed[0] == '_' || std::isalpha(static_cast<unsigned char>(typed[0])) != 0);
  if (!is_word) fail_value(place, name, "a word", typed);
  value = typed;
}

void read_value(std::string_view place, std::string_view name, std::string_view typed, bool& value) {
  if (typed != "on" && typed != "off") fail_value(place, name, "on or off", typed);
  value = typed == "on";
}

ParamInfo describe(Pos value) { return {{}, "int", fmt::to_string(value), {}}; }
ParamInfo describe(double value) { return {{}, "number", fmt::to_string(value), {}}; }
ParamInfo describe(const std::string& value) { return {{}, "word", value, {}}; }
ParamInfo describe(bool value) { return {{}, "on/off", value ? "on" : "off", {}}; }

std::vector<const std::string*> match_args(std::string_view place, const std::vector<ParamInfo>& params,
                                           const SpecArgs& args) {
  std::vector<const std::string*> values(params.size(), nullptr);
  bool named = false;
  for (std::size_t i = 0; i < args.size(); ++i) {
    const auto& [name, value] = args[i];
    if (params.empty()) {
      fail_user(fmt::format("{}: takes no parameters, got {}", place, name.empty() ? value : name + "=" + value));
    }
    std::size_t param = i;
    if (name.empty()) {
      if (named)
        fail_user(fmt::format("{}: a value without a name must come before the named ones, got {}", place, value));
      if (i >= params.size()) {
        fail_user(fmt::format("{}: takes at most {} value{}, got {}", place, params.size(),
                              params.size() == 1 ? "" : "s", args.size()));
      }
    } else {
      named = true;
      const auto found = std::ranges::find(params, name, &ParamInfo::name);
      if (found == params.end()) {
        std::vector<std::string_view> known;
        for (const ParamInfo& info : params) known.push_back(info.name);
        fail_user(fmt::format("{}: unknown parameter {}; {}", place, quote(name), suggest(name, known)));
      }
      param = static_cast<std::size_t>(found - params.begin());
    }
    if (values[param] != nullptr) {
      fail_user(fmt::format("{}: {} is given twice, {} and {}", place, params[param].name, *values[param], value));
    }
    values[param] = &value;
  }
  return values;
}

}  // namespace saccade
