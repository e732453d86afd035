#include "saccade/report/html.h"

#include <vector>

namespace saccade::report {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD", kEllipsis = "\xE2\x80\xA6";

/// Bytes of the UTF-8 character at `at`; 0 when there is none, or it is none that XML may hold.
std::size_t character_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  const unsigned first = byte(at);
  if (first < 0x20) return first == '\t' || first == '\n' || first == '\r' ? 1 : 0;
  if (first < 0x7F) return 1;
  if (first >= 0xC2 && first <= 0xDF) return follows(at + 1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const unsigned second = byte(at + 1);
    const bool overlong = first == 0xE0 && second < 0xA0, surrogate = first == 0xED && second >= 0xA0,
               none = first == 0xEF && second == 0xBF && byte(at + 2) >= 0xBE;
    return follows(at + 1) && follows(at + 2) && !overlong && !surrogate && !none ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const bool outside = (first == 0xF0 && byte(at + 1) < 0x90) || (first == 0xF4 && byte(at + 1) >= 0x90);
    return follows(at + 1) && follows(at + 2) && follows(at + 3) && !outside ? 4 : 0;
  }
  return 0;
}

/// `use(character)` of each, in order; U+FFFD for a byte that belongs to none.
void for_each_character(std::string_view text, const auto& use) {
  for (std::size_t at = 0; at < text.size();) {
    const auto n = character_at(text, at);
    use(n == 0 ? kReplacement : text.substr(at, n));
    at += n == 0 ? 1 : n;
  }
}

std::vector<std::string_view> characters_of(std::string_view text) {
  std::vector<std::string_view> characters;
  for_each_character(text, [&](std::string_view character) { characters.push_back(character); });
  return characters;
}

std::string_view entity_of(std::string_view character) {
  switch (character.front()) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    default:
      return character;
  }
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string out;
  for_each_character(text, [&](std::string_view character) { out += entity_of(character); });
  return out;
}

std::string script_json(const nlohmann::ordered_json& json) {
  const std::string text = json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  std::string out;
  out.reserve(text.size());
  for_each_character(text, [&](std::string_view character) {
    // These stand inside strings only, where JSON has another way to write them.
    if (character == "<")
      out += "\\u003c";
    else if (character == ">")
      out += "\\u003e";
    else if (character == "&")
      out += "\\u0026";
    else
      out += character;
  });
  return out;
}

std::size_t length_of(std::string_view text) {
  std::size_t n = 0;
  for_each_character(text, [&](std::string_view) { ++n; });
  return n;
}

std::string shortened(std::string_view text, std::size_t most) {
  const auto characters = characters_of(text);
  std::string out;
  const std::size_t left_out = characters.size() > most ? characters.size() - most + 1 : 0,
                    begin = (most - 1) - (most - 1) / 3;
  for (std::size_t i = 0; i < characters.size(); ++i) {
    if (left_out > 0 && i == begin) out += kEllipsis;
    if (left_out == 0 || i < begin || i >= begin + left_out) out += characters[i];
  }
  return out;
}

}  // namespace saccade::report
