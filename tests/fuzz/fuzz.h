#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "saccade/base/error.h"

/// What libFuzzer calls, and what it offers.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed);
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace saccade::fuzz {

/// Ends the run with what was broken: libFuzzer then keeps the input.
inline void require(bool holds, const char* law) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", law);
  std::abort();
}

/// Runs `body`; the one way in which it may fail is an error of the user's, in one line. True if it did not.
template <class Body>
bool passes(Body&& body) {
  try {
    body();
    return true;
  } catch (const Error& error) {
    const std::string_view line = error.what();
    require(error.fault() == Fault::kUser, "what is wrong with an input is its user's fault");
    require(!line.empty() && line.find('\n') == std::string_view::npos, "an error is one line");
    return false;
  }
}

/// One mutation out of four writes a word of the format somewhere, over what is there or between it; the others are
/// libFuzzer's own. Words come from the code's own tables, so that a new mechanism is fuzzed without being told of.
inline std::size_t mutate(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed,
                          const std::vector<std::string>& words) {
  const std::string& word = words[seed / 8 % words.size()];
  if (seed % 4 != 0 || word.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::size_t at = seed / 64 % (size + 1);
  if (at + word.size() > max_size) at = max_size - word.size();
  const bool between = seed % 8 == 0 && size + word.size() <= max_size && at <= size;
  if (between) std::memmove(data + at + word.size(), data + at, size - at);
  std::memcpy(data + at, word.data(), word.size());
  return between ? size + word.size() : std::max(size, at + word.size());
}

/// Names of the mechanisms that a plan may name and of their parameters, and the grammar's signs.
std::vector<std::string> spec_words();

}  // namespace saccade::fuzz
