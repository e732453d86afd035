#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace saccade::judge {

/// One fact to be found again: a sentence for the text that ends in the secret, and the question about it. The answer
/// may be begun with the cue, as small models need it: what is judged is whether they look back at the right place.
struct Needle {
  std::string cue, secret, question;
  std::string sentence() const { return cue + " " + secret + "."; }
};

/// Needles of one pattern that differ in a thing, its city and a five-digit number, each only once, so that an answer
/// cannot be guessed and looking at the wrong needle gives a wrong one. The same for the same seed on every machine.
///
/// Requires  0 <= n <= kMostNeedles
/// Source    Arora et al. 2023, arXiv:2312.04927 (recall of one among many like pairs); Kamradt 2023 (a needle's depth
///           in real text)
std::vector<Needle> make_needles(std::size_t n, std::uint64_t seed = 1);
inline constexpr std::size_t kMostNeedles = 32;

/// A text with needles in it.
struct Haystack {
  std::string text;
  std::vector<double> depths;  ///< per needle: the share of the bare text that comes before it, ascending
};

/// Puts the i-th needle into the i-th of n equal parts of the text, at the end of a sentence or line that is nearest to
/// the part's middle. Nothing else of the text changes.
///
/// Errors    Fault::kUser when one of the parts holds no such end (the text is too short, or one long line)
/// Cost      one pass over the text
Haystack plant(std::string_view text, const std::vector<Needle>& needles);

/// True when `word` stands in the answer with no letter or digit beside it: "48213." holds 48213, "148213" does not.
/// Requires a word that is not empty.
bool holds_word(std::string_view answer, std::string_view word);

}  // namespace saccade::judge
