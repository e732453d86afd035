#include <cstdint>
#include <utility>

#include "apps/saccade/inspect_report.h"

namespace saccade::app {
namespace {

/// Bytes of the character that begins at `at`; 0 when what is there is no UTF-8. Overlong forms and surrogates are not
/// told apart: a tokenizer does not make them from a checked text, and a browser shows U+FFFD for them.
std::size_t character(const std::string& bytes, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
  const std::uint8_t first = byte(at);
  const std::size_t size = first < 0x80                    ? 1
                           : first >= 0xC2 && first < 0xE0 ? 2
                           : first >= 0xE0 && first < 0xF0 ? 3
                           : first >= 0xF0 && first < 0xF5 ? 4
                                                           : 0;
  if (size == 0 || at + size > bytes.size()) return 0;
  for (std::size_t i = 1; i < size; ++i)
    if ((byte(at + i) & 0xC0) != 0x80) return 0;
  return size;
}

}  // namespace

InspectedText inspected_text(const Model& model, const Tokens& tokens, std::vector<std::string> answered,
                             std::int64_t n_decoded) {
  InspectedText text;
  for (const std::string& piece : answered) text.answer += piece;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    text.pieces.push_back(model.name(tokens[i]));
    if (model.piece(tokens[i]).empty()) text.control.push_back(static_cast<Pos>(i));
  }
  text.pieces.insert(text.pieces.end(), answered.begin(), answered.begin() + static_cast<std::ptrdiff_t>(n_decoded));
  text.answered = std::move(answered);
  return text;
}

std::vector<std::string> whole_characters(const std::vector<std::string>& pieces) {
  std::string bytes;
  for (const std::string& piece : pieces) bytes += piece;
  std::vector<std::string> whole(pieces.size());
  std::size_t token = 0, token_end = pieces.empty() ? 0 : pieces[0].size();
  for (std::size_t at = 0; at < bytes.size();) {
    while (at >= token_end) token_end += pieces[++token].size();
    const std::size_t size = character(bytes, at);
    whole[token] += size == 0 ? "\xEF\xBF\xBD" : bytes.substr(at, size);
    at += size == 0 ? 1 : size;
  }
  return whole;
}

}  // namespace saccade::app
