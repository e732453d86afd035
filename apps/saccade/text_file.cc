#include "apps/saccade/text_file.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "apps/saccade/gguf_header.h"
#include "saccade/base/error.h"

namespace saccade::app {
namespace {

constexpr std::size_t kMostBytes = std::size_t{1} << 30;  // llama.cpp's tokenizer counts in 32 bits

}  // namespace

std::string read_file(const std::string& path) {
  const auto close = [](std::FILE* file) { std::fclose(file); };
  const std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path.c_str(), "rb"), close);
  if (!file) fail_user(fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  struct stat info {};
  if (::fstat(::fileno(file.get()), &info) == 0 && S_ISDIR(info.st_mode))
    fail_user(fmt::format("cannot read {}: it is a directory", path));
  std::string text;
  char part[65536];
  while (const auto n = std::fread(part, 1, sizeof part, file.get())) {
    if (text.size() + n > kMostBytes) fail_user(fmt::format("{}: more than {} bytes", path, kMostBytes));
    text.append(part, n);
  }
  if (std::ferror(file.get()) != 0) fail_machine(fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  return text;
}

std::string read_text(const std::string& path) {
  std::string text = read_file(path);
  check_utf8(fmt::format("text {}", path), text);
  if (text.find_first_not_of(" \t\r\n\v\f") == std::string::npos) fail_user(fmt::format("text {}: it is empty", path));
  return text;
}

void check_utf8(const std::string& what, const std::string& text) {
  std::size_t bad = 0;
  if (!is_utf8(text, &bad))
    fail_user(fmt::format("{}: it must be UTF-8, and byte {} (0x{:02X}) is not", what, bad,
                          static_cast<unsigned char>(text[bad])));
}

}  // namespace saccade::app
