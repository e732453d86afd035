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

}  // namespace

Pos Edge::ask(const AttendCall& call, const Where& where, Range q_rows, Range keys) {
  q_rows_ = q_rows;
  keys_ = keys;
  Pos pairs = 0;
  std::fill_n(words_, q_rows.size() * kWords, 0U);
  for (Pos query = q_rows.begin; query < q_rows.end; ++query) {
    std::uint32_t* words = words_ + (query - q_rows.begin) * kWords;
    where.mask(call.q_begin + query, keys, words);
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
  // Eight values at a time, and the last few by hand: nothing may be read past the end of a row.
  const Pos n = keys_.size();
  const Pos whole = n / 8 * 8;
  const auto element = static_cast<Pos>(row_bytes(bias.dtype, 1));
  kernel::load_rows(bias.dtype, row + keys_.begin * element, 0, 1, static_cast<int>(whole), values);
  for (Pos j = whole; j < n; ++j) values[j] = bias_at(bias, row, keys_.begin + j);
  for (Pos j = 0; j < n; ++j) {
    if (values[j] != kHidden) continue;
    words[j / 32] &= ~(1U << (j % 32));
    values[j] = 0.0F;  // so that no slope makes a number or NaN of it
  }
}

}  // namespace saccade::detail
