#include "saccade/plan/nearest.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "saccade/base/error.h"

namespace saccade {
namespace {

char small(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

int edit_distance(std::string_view a, std::string_view b) {
  std::vector<int> row(b.size() + 1);  // row[j]: from the letters of a seen so far to the first j of b
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 0; i < a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i) + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const int replaced = diagonal + (small(a[i]) != small(b[j]));
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> known) {
  SACCADE_ASSERT(!known.empty(), "there is something to suggest");
  const auto distance = [&](std::string_view candidate) { return edit_distance(word, candidate); };
  return *std::ranges::min_element(known, {}, distance);
}

std::string suggest(std::string_view word, std::span<const std::string_view> known) {
  const std::string_view guess = nearest(word, known);
  const auto distance = static_cast<std::size_t>(edit_distance(word, guess));
  const bool close = 2 * distance <= std::max(word.size(), guess.size());
  return close ? fmt::format("did you mean \"{}\"?", guess) : fmt::format("the nearest known is \"{}\"", guess);
}

}  // namespace saccade
