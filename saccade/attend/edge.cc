#include "saccade/attend/edge.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "saccade/base/half.h"

namespace saccade::detail {

float bias_at(const BiasView& bias, Pos query, Pos key) {
  const std::byte* row = bias.row(query);
  if (bias.dtype == DType::f32) {
    float value;
    std::memcpy(&value, row + key * 4, sizeof value);
    return value;
  }
  std::uint16_t half;
  std::memcpy(&half, row + key * 2, sizeof half);
  return f32_from_f16(half);
}

Pos Edge::ask(const AttendCall& call, const Where& where, Range q_rows, Range keys) {
  constexpr float kHidden = -std::numeric_limits<float>::infinity();
  q_rows_ = q_rows;
  keys_ = keys;
  Pos pairs = 0;
  std::fill_n(words_, q_rows.size() * kWords, 0U);
  for (Pos query = q_rows.begin; query < q_rows.end; ++query) {
    std::uint32_t* words = words_ + (query - q_rows.begin) * kWords;
    where.mask(call.q_begin + query, keys, words);
    for (Pos w = 0; w < kWords; ++w) pairs += std::popcount(words[w]);
    if (!call.bias.data) continue;
    for (Pos j = 0; j < keys.size(); ++j) {
      if (bias_at(call.bias, query, keys.begin + j) == kHidden) words[j / 32] &= ~(1U << (j % 32));
    }
  }
  return pairs;
}

}  // namespace saccade::detail
