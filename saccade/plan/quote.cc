#include "saccade/plan/quote.h"

#include <fmt/format.h>

#include <algorithm>

namespace saccade {
namespace {

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

/// Bytes of the well-formed UTF-8 code point at the start of `text`; 0 when there is none.
std::size_t code_point_bytes(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const std::size_t n = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
  const std::string_view rest = text.substr(1, n > 0 ? n - 1 : 0);
  return rest.size() + 1 == n && std::ranges::all_of(rest, continues) ? n : 0;
}

}  // namespace

std::string one_line(std::string_view text, std::size_t most) {
  std::string out;
  for (std::size_t shown = 0; !text.empty(); ++shown) {
    if (shown == most) return out + "...";
    std::size_t n = code_point_bytes(text);
    const auto byte = static_cast<unsigned char>(text[0]);
    if (n == 0 || byte < 0x20 || byte == 0x7F) {
      out += text[0] == '\n' ? "\\n" : text[0] == '\t' ? "\\t" : fmt::format("\\x{:02X}", byte);
      n = 1;
    } else {
      out += text.substr(0, n);
    }
    text.remove_prefix(n);
  }
  return out;
}

std::string quote(std::string_view text) { return '"' + one_line(text, 100) + '"'; }

std::size_t character_at(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, offset);
  return before.size() - static_cast<std::size_t>(std::count_if(before.begin(), before.end(), continues)) + 1;
}

}  // namespace saccade
