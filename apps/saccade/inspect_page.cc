#include <string_view>

#include "apps/saccade/inspect_report.h"
#include "saccade/inspect_assets.h"

namespace saccade::app {
namespace {

void replace(std::string& text, std::string_view mark, std::string_view with) {
  text.replace(text.find(mark), mark.size(), with);
}

/// JSON that may stand inside a script element, whatever its strings say: no "<" is left to end or open anything.
std::string embedded(const nlohmann::ordered_json& json) {
  const std::string plain = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  std::string safe;
  safe.reserve(plain.size());
  for (const char c : plain) {
    if (c == '<') {
      safe += "\\u003c";
    } else {
      safe += c;
    }
  }
  return safe;
}

}  // namespace

std::string inspect_page(const nlohmann::ordered_json& report) {
  std::string page(kInspectPage);
  replace(page, "@STYLE@", kInspectStyle);
  std::string script;
  for (const std::string_view part : kInspectScripts) script += part;
  replace(page, "@SCRIPT@", script);
  replace(page, "@REPORT@", embedded(report));
  return page;
}

}  // namespace saccade::app
