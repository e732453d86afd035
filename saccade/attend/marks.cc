#include "saccade/attend/marks.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <limits>

#include "saccade/kernel/bf16.h"

namespace saccade::detail {
namespace {

constexpr Pos kRows = kernel::kTileRows;
constexpr int kSide = kernel::kTileSide;

/// A whole number from -255 to 255 in bf16.
std::uint32_t bf16_of(int number) { return std::bit_cast<std::uint32_t>(static_cast<float>(number)) >> 16U; }

std::int32_t clamp(Pos position) {
  return static_cast<std::int32_t>(std::clamp<Pos>(position, 0, std::numeric_limits<std::int32_t>::max()));
}

/// Writes one mark of all keys: pairs of keys to a word, 16 words a tile. `value(key)`: a whole number of 8 bits.
template <class Value>
void write(int mark, int n_steps, const Value& value, std::uint32_t* words) {
  std::uint32_t* row = words + mark / kSide * n_steps * kernel::kTileWords + mark % kSide * kSide;
  for (int step = 0; step < n_steps; ++step, row += kernel::kTileWords) {
    for (int pair = 0; pair < kSide; ++pair) {
      const int key = step * 32 + 2 * pair;
      row[pair] = bf16_of(value(key)) | bf16_of(value(key + 1)) << 16U;
    }
  }
}

}  // namespace

Marks::Marks(Layout& layout, const RowWants& wants, Pos n_tiles, int n_slots)
    : wants_(wants),
      n_digits_(wants.distance ? kDigits : 0),
      size_(kernel::round_up(n_digits_ + static_cast<int>(wants.spans.size()), kSide)),
      sums_(layout.take<float>(n_tiles * size_ * kRows)),
      words_(layout.take<std::uint32_t>(Pos{n_slots} * kernel::bf16_v_words(size_))) {}

void Marks::start(Pos n_tiles) { std::fill_n(sums_, n_tiles * size_ * kRows, 0.0F); }

const std::uint32_t* Marks::mark(std::span<const std::int32_t> positions, Pos anchor, int slot) {
  std::uint32_t* const words = words_ + slot * kernel::bf16_v_words(size_);
  const int n_keys = static_cast<int>(positions.size()), n_steps = kernel::round_up(n_keys, 32) / 32;
  std::int32_t distance[kernel::kBlockKeys] = {}, at[kernel::kBlockKeys];
  std::fill_n(at, kernel::kBlockKeys, -1);
  for (int key = 0; key < n_keys; ++key) {
    at[key] = positions[static_cast<std::size_t>(key)];
    distance[key] = static_cast<std::int32_t>(anchor - at[key]);
  }
  for (int digit = 0; digit < n_digits_; ++digit) {
    const auto value = [&](int key) {
      const int size = std::abs(distance[key]) >> (8 * digit) & 0xff;
      return distance[key] < 0 ? -size : size;
    };
    write(digit, n_steps, value, words);
  }
  for (std::size_t n = 0; n < wants_.spans.size(); ++n) {
    const std::int32_t begin = clamp(wants_.spans[n].begin), end = clamp(wants_.spans[n].end);
    const auto value = [&](int key) { return at[key] >= begin && at[key] < end ? 1 : 0; };
    write(n_digits_ + static_cast<int>(n), n_steps, value, words);
  }
  for (int mark = n_digits_ + static_cast<int>(wants_.spans.size()); mark < size_; ++mark) {
    write(
        mark, n_steps, [](int) { return 0; }, words);
  }
  return words;
}

float* Marks::sums(Pos tile) const { return sums_ + tile * size_ * kRows; }

float Marks::sum(Pos row, int mark) const { return sums(row / kRows)[mark * kRows + row % kRows]; }

float Marks::distance(Pos row) const {
  double sum = 0.0;
  for (int digit = n_digits_; digit-- > 0;) sum = sum * 256 + static_cast<double>(this->sum(row, digit));
  return static_cast<float>(sum);
}

float Marks::mass(Pos row, Pos span) const { return sum(row, n_digits_ + static_cast<int>(span)); }

}  // namespace saccade::detail
