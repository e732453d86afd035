#include "apps/saccade/resume_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "apps/saccade/output.h"
#include "saccade/base/error.h"

namespace saccade::app {
namespace {

using nlohmann::ordered_json;

std::string read_all(const std::string& path) {
  const auto close = [](std::FILE* file) { std::fclose(file); };
  const std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path.c_str(), "rb"), close);
  std::string text;
  char part[65536];
  while (file) {
    const auto n = std::fread(part, 1, sizeof part, file.get());
    if (n == 0) break;
    text.append(part, n);
  }
  if (!file || std::ferror(file.get()) != 0)
    fail_machine(fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  return text;
}

[[noreturn]] void fail_foreign(const std::string& path) {
  fail_user(fmt::format("--resume {}: it holds something else than rows of saccade", path));
}

}  // namespace

ResumeFile::ResumeFile(std::string path) : path_(std::move(path)) {
  if (path_.empty()) return;
  check_writable(path_);
  std::error_code none_yet;
  if (!std::filesystem::is_regular_file(path_, none_yet)) return;
  const std::string text = read_all(path_);
  for (std::size_t at = 0; at < text.size();) {
    const auto end = text.find('\n', at);
    if (end == std::string::npos) break;  // the line that was being written when we were stopped
    const auto line = ordered_json::parse(text.substr(at, end - at), nullptr, false);
    if (!line.is_object() || !line.contains("comparison") || !line["comparison"].is_string() ||
        !line.contains("canonical") || !line["canonical"].is_string() || !line.contains("row"))
      fail_foreign(path_);
    lines_.push_back({line["comparison"], line["canonical"], line});
    at = end + 1;
  }
  if (!text.empty() && lines_.empty() && text.find("{\"comparison\"") != 0) fail_foreign(path_);
}

std::optional<nlohmann::json> ResumeFile::find(const Attention& attention) const {
  for (const auto& line : lines_)
    if (line.comparison == comparison_ && line.canonical == attention.canonical) return line.json["row"];
  return std::nullopt;
}

void ResumeFile::add(const Attention& attention, const ordered_json& row) {
  if (path_.empty()) return;
  std::erase_if(lines_, [&](const Line& line) {
    return line.comparison == comparison_ && line.canonical == attention.canonical;
  });
  lines_.push_back({comparison_,
                    attention.canonical,
                    {{"comparison", comparison_}, {"canonical", attention.canonical}, {"row", row}}});
  OutputFile file(path_);
  for (const auto& line : lines_) file.write(line.json.dump() + "\n");
  file.commit();
}

}  // namespace saccade::app
