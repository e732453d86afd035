#pragma once

#include <span>
#include <string>
#include <string_view>

namespace saccade {

/// How many letters must be inserted, deleted or replaced to turn one word into the other; capitals count as small
/// letters. Cost O(|a| |b|) time, O(|b|) memory. Source: Wagner & Fischer 1974.
int edit_distance(std::string_view a, std::string_view b);

/// The known word that is closest to `word`, the first of them on a tie. Requires at least one.
std::string_view nearest(std::string_view word, std::span<const std::string_view> known);

/// The second half of an "unknown ..." line: `did you mean "window"?`, or, when nothing is close enough to have been
/// meant, `the nearest known is "window"`. Requires at least one known word.
std::string suggest(std::string_view word, std::span<const std::string_view> known);

}  // namespace saccade
