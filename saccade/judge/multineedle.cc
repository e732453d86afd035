#include "saccade/judge/multineedle.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include "saccade/base/error.h"
#include "saccade/base/random.h"

namespace saccade::judge {
namespace {

constexpr std::array<const char*, kMostNeedles> kCities = {
    "Lisbon",    "Oslo",     "Cairo",    "Lima",     "Tokyo",   "Boston",  "Naples",  "Dublin",
    "Athens",    "Havana",   "Madrid",   "Sydney",   "Prague",  "Vienna",  "Jakarta", "Nairobi",
    "Toronto",   "Hamburg",  "Bergen",   "Seoul",    "Quebec",  "Tunis",   "Manila",  "Bristol",
    "Rotterdam", "Helsinki", "Santiago", "Istanbul", "Bangkok", "Chicago", "Geneva",  "Warsaw"};

constexpr std::array<const char*, kMostNeedles> kThings = {
    "lighthouse", "bakery", "harbour", "theatre", "museum",   "bridge", "garden",      "hospital",
    "market",     "school", "castle",  "library", "airport",  "hotel",  "stadium",     "factory",
    "tower",      "chapel", "brewery", "zoo",     "palace",   "prison", "windmill",    "aquarium",
    "farm",       "cinema", "bank",    "circus",  "shipyard", "tavern", "observatory", "tunnel"};

bool in_a_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }
bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

/// Whether a sentence or line ends just before `at`.
bool ends_before(std::string_view text, std::size_t at) {
  if (at == 0 || at >= text.size() || !is_space(text[at])) return false;
  const char last = text[at - 1];
  return last == '.' || last == '!' || last == '?' || (text[at] == '\n' && !is_space(last));
}

/// The end that is nearest to the middle of [begin, end).
std::optional<std::size_t> place_in(std::string_view text, std::size_t begin, std::size_t end) {
  const std::size_t middle = begin + (end - begin) / 2;
  for (std::size_t away = 0; away <= end - middle; ++away) {
    if (middle + away < end && ends_before(text, middle + away)) return middle + away;
    if (middle >= begin + away && ends_before(text, middle - away)) return middle - away;
  }
  return std::nullopt;
}

template <class T>
void shuffle(std::vector<T>& values, Random& random) {
  for (std::size_t i = values.size(); i > 1; --i)
    std::swap(values[i - 1], values[static_cast<std::size_t>(random.between(0, static_cast<Pos>(i) - 1))]);
}

}  // namespace

std::vector<Needle> make_needles(std::size_t n, std::uint64_t seed) {
  SACCADE_ASSERT(n <= kMostNeedles, "there are no more cities");
  Random random(seed);
  std::vector<std::string> cities(kCities.begin(), kCities.end()), things(kThings.begin(), kThings.end()), secrets;
  shuffle(cities, random);
  shuffle(things, random);
  while (secrets.size() < n) {
    auto secret = std::to_string(random.between(10'000, 99'999));
    if (std::ranges::find(secrets, secret) == secrets.end()) secrets.push_back(std::move(secret));
  }
  std::vector<Needle> needles;
  for (std::size_t i = 0; i < n; ++i) {
    const std::string what = "secret number of the " + things[i] + " in " + cities[i];
    needles.push_back({.cue = "The " + what + " is",
                       .secret = secrets[i],
                       .question = "What is the " + what + "? Answer with one sentence."});
  }
  return needles;
}

Haystack plant(std::string_view text, const std::vector<Needle>& needles) {
  Haystack haystack;
  std::size_t copied = 0;
  const std::size_t n = needles.size();
  for (std::size_t i = 0; i < n; ++i) {
    const auto place = place_in(text, text.size() * i / n, text.size() * (i + 1) / n);
    if (!place)
      fail_user("the text has no end of a sentence or line for needle " + std::to_string(i + 1) + " of " +
                std::to_string(n) + ": it must be longer, or broken into sentences or lines");
    haystack.text += text.substr(copied, *place - copied);
    haystack.text += text[*place] == '\n' ? '\n' : ' ';
    haystack.text += needles[i].sentence();
    haystack.depths.push_back(static_cast<double>(*place) / static_cast<double>(text.size()));
    copied = *place;
  }
  haystack.text += text.substr(copied);
  return haystack;
}

bool holds_word(std::string_view answer, std::string_view word) {
  SACCADE_ASSERT(!word.empty(), "an empty word is everywhere");
  for (auto at = answer.find(word); at != std::string_view::npos; at = answer.find(word, at + 1)) {
    const auto end = at + word.size();
    if ((at == 0 || !in_a_word(answer[at - 1])) && (end == answer.size() || !in_a_word(answer[end]))) return true;
  }
  return false;
}

}  // namespace saccade::judge
