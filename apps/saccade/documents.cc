#include "apps/saccade/documents.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "apps/saccade/text_file.h"
#include "saccade/base/error.h"

namespace saccade::app {
namespace {

Document read_line(const std::string& line, const std::string& path, std::size_t number) {
  const auto json = nlohmann::json::parse(line, nullptr, false);
  if (!json.is_object() || !json.contains("text") || !json["text"].is_string())
    fail_user(fmt::format("{}: line {} must be a JSON object with a \"text\"", path, number));
  Document document{.id = std::to_string(number), .text = json["text"].get<std::string>()};
  if (json.contains("id")) document.id = json["id"].is_string() ? json["id"].get<std::string>() : json["id"].dump();
  return document;
}

}  // namespace

std::vector<Document> read_documents(const std::string& path) {
  const std::string content = read_text(path);
  if (!path.ends_with(".jsonl")) return {{.id = path, .text = content}};
  std::vector<Document> documents;
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < content.size();) {
    const std::size_t end = std::min(content.find('\n', begin), content.size());
    const std::string line = content.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") != std::string::npos) documents.push_back(read_line(line, path, number));
  }
  return documents;
}

}  // namespace saccade::app
