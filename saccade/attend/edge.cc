#include "saccade/attend/edge.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "saccade/base/half.h"

namespace saccade::detail {
namespace {

float bias_at(const BiasView& bias, const std::byte* row, Pos key) {
  if (bias.dtype == DType::f32) {
    float value;
    std::memcpy(&value, row + key * 4, sizeof value);
    return value;
  }
  std::uint16_t half;
  std::memcpy(&half, row + key * 2, sizeof half);
  return f32_from_f16(half);
}

/// Whole words of `some`, n bits of them, to bit `at` of words that are clear from there on.
void append_bits(const std::uint32_t* some, Pos n, Pos at, std::uint32_t* words) {
  const Pos shift = at % 32;
  words += at / 32;
  for (Pos done = 0; done < n; done += 32) {
    *words++ |= *some << shift;
    if (shift != 0 && n - done > 32 - shift) *words |= *some >> (32 - shift);
    ++some;
  }
}

/// What the query sees of keys from several ranges, asked range by range.
void mask_of(const Where& where, Pos q_pos, const Gathered& keys, std::uint32_t* words) {
  if (keys.one_range()) {
    where.mask(q_pos, keys.ranges()[0], words);
    return;
  }
  keys.for_each([&](Range range, Pos n) {
    std::uint32_t some[Edge::kWords];
    where.mask(q_pos, range, some);
    append_bits(some, range.size(), n, words);
  });
}

}  // namespace

Pos Edge::ask(const AttendCall& call, const Where& where, Range q_rows, const Gathered& keys) {
  q_rows_ = q_rows;
  keys_ = &keys;
  Pos pairs = 0;
  std::fill_n(words_, q_rows.size() * kWords, 0U);
  for (Pos query = q_rows.begin; query < q_rows.end; ++query) {
    std::uint32_t* words = words_ + (query - q_rows.begin) * kWords;
    mask_of(where, call.q_begin + query, keys, words);
    for (Pos w = 0; w < kWords; ++w) pairs += std::popcount(words[w]);
    if (bias_) read_bias(call.bias, query);
  }
  return pairs;
}

void Edge::read_bias(const BiasView& bias, Pos query) {
  constexpr float kHidden = -std::numeric_limits<float>::infinity();
  float* values = bias_ + (query - q_rows_.begin) * kernel::kBlockKeys;
  std::uint32_t* words = words_ + (query - q_rows_.begin) * kWords;
  const std::byte* row = bias.row(query);
  const auto element = static_cast<Pos>(row_bytes(bias.dtype, 1));
  keys_->for_each([&](Range keys, Pos n) {
    // Eight values at a time, and the last few by hand: nothing may be read past the end of a row.
    const Pos whole = keys.size() / 8 * 8;
    float* some = values + n;
    kernel::load_rows(bias.dtype, row + keys.begin * element, 0, 1, static_cast<int>(whole), some);
    for (Pos j = whole; j < keys.size(); ++j) some[j] = bias_at(bias, row, keys.begin + j);
  });
  for (Pos j = 0; j < keys_->size(); ++j) {
    if (values[j] != kHidden) continue;
    words[j / 32] &= ~(1U << (j % 32));
    values[j] = 0.0F;  // so that no slope makes a number or NaN of it
  }
}

}  // namespace saccade::detail
