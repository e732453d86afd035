#include <string_view>

#include "apps/saccade/inspect_report.h"
#include "apps/saccade/output.h"
#include "saccade/inspect_assets.h"
#include "saccade/report/html.h"

namespace saccade::app {
namespace {

void replace(std::string& text, std::string_view mark, std::string_view with) {
  text.replace(text.find(mark), mark.size(), with);
}

}  // namespace

std::string inspect_page(const nlohmann::ordered_json& document) {
  std::string page(kInspectPage);
  replace(page, "@STYLE@", kInspectStyle);
  std::string script;
  for (const std::string_view part : kInspectScripts) script += part;
  replace(page, "@SCRIPT@", script);
  replace(page, "@REPORT@", report::script_json(document));
  return page;
}

void write_page(const nlohmann::ordered_json& document, const std::string& path) {
  OutputFile file(path);
  file.write(inspect_page(document));
  file.commit();
}

}  // namespace saccade::app
