#include "saccade/plan/catalogue.h"

#include <fmt/format.h>

#include <map>
#include <string>

#include "capi/guard.h"
#include "saccade/plan/catalogue_json.h"
#include "saccade/plan/nearest.h"
#include "saccade/plan/quote.h"

#define SACCADE_TEXT_OF(number) #number
#define SACCADE_TEXT(number) SACCADE_TEXT_OF(number)

namespace saccade::capi {
namespace {

constexpr std::string_view kVersion =
    SACCADE_TEXT(SACCADE_VERSION_MAJOR) "." SACCADE_TEXT(SACCADE_VERSION_MINOR) "." SACCADE_TEXT(SACCADE_VERSION_PATCH);
static_assert(kVersion == SACCADE_PROJECT_VERSION, "saccade.h and CMakeLists.txt name one version");

const std::string& list() {
  static const std::string text = [] {
    auto all = nlohmann::ordered_json::array();
    for (const MechanismInfo& info : catalogue()) all.push_back(to_json(info));
    return all.dump();
  }();
  return text;
}

const std::string& show(std::string_view name) {
  static const std::map<std::string_view, std::string> texts = [] {
    std::map<std::string_view, std::string> all;
    for (const MechanismInfo& info : catalogue()) all.emplace(info.name, to_json(info).dump());
    return all;
  }();
  if (const auto known = texts.find(name); known != texts.end()) return known->second;
  std::vector<std::string_view> names;
  for (const auto& [known, text] : texts) names.push_back(known);
  fail_user(fmt::format("there is no mechanism {}; {}", quote(name), suggest(name, names)));
}

}  // namespace
}  // namespace saccade::capi

const char* saccade_version(void) { return saccade::capi::kVersion.data(); }

saccade_status saccade_list(const char** json) {
  using namespace saccade::capi;
  return guard([&] { *needed(json, "json") = list().c_str(); });
}

saccade_status saccade_show(const char* name, const char** json) {
  using namespace saccade::capi;
  return guard([&] {
    *needed(json, "json") = nullptr;
    *json = show(needed(name, "name")).c_str();
  });
}
