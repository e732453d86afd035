#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace saccade {

/// The text made fit for a one-line message: control characters and broken UTF-8 are escaped, and what goes beyond
/// `most` characters is cut off.
std::string one_line(std::string_view text, std::size_t most);

/// The first 100 characters, as one line in double quotes.
std::string quote(std::string_view text);

/// Which character the byte at `offset` belongs to, counted from 1 as a user counts: one per UTF-8 code point.
std::size_t character_at(std::string_view text, std::size_t offset);

}  // namespace saccade
