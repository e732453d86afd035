#include "saccade/attend/row_record.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "saccade/attend/edge.h"
#include "saccade/kernel/ranked.h"

namespace saccade::detail {
namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();
constexpr double kLn2 = 0.6931471805599453;

kernel::ScoredKey key_at(const RecordShape& shape, const float* record, Pos n) {
  return {record[shape.top_scores() + n], std::bit_cast<std::int32_t>(record[shape.top_positions() + n])};
}

void set_key(const RecordShape& shape, float* record, Pos n, kernel::ScoredKey key) {
  record[shape.top_scores() + n] = key.score;
  record[shape.top_positions() + n] = std::bit_cast<float>(key.position);
}

void merge_top(const RecordShape& shape, float* into, const float* from) {
  for (Pos n = 0; n < shape.n_top; ++n) {
    const kernel::ScoredKey key = key_at(shape, from, n);
    if (!key.beats(key_at(shape, into, shape.n_top - 1))) return;
    Pos at = shape.n_top - 1;
    for (; at > 0 && key.beats(key_at(shape, into, at - 1)); --at)
      set_key(shape, into, at, key_at(shape, into, at - 1));
    set_key(shape, into, at, key);
  }
}

/// The largest weight of a row: its own maximum, in units of log2, beside the sum of all and a sink score.
double weight_of_max(float row_max, float row_sum, float sink_score) {
  const double top = row_max;
  const double sink = static_cast<double>(sink_score) / kLn2;
  if (!(sink > top)) return 1.0 / (static_cast<double>(row_sum) + std::exp2(sink - top));
  const double share = std::exp2(top - sink);
  return share / (static_cast<double>(row_sum) * share + 1.0);
}

}  // namespace

void merge_records(const RecordShape& shape, float* into, const float* from) {
  using Shape = RecordShape;
  if (from[Shape::kRowSum] == 0) return;
  if (into[Shape::kRowSum] == 0) {
    std::copy(from, from + shape.width(), into);
    return;
  }
  const float top = std::max(into[Shape::kRowMax], from[Shape::kRowMax]);
  const float fall_a = into[Shape::kRowMax] - top, fall_b = from[Shape::kRowMax] - top;
  const float a = std::exp2(fall_a), b = std::exp2(fall_b);
  // A weight that shrinks by 2^fall has a logarithm that falls by it.
  into[Shape::kLogSum] = a * (into[Shape::kLogSum] + fall_a * into[Shape::kRowSum]) +
                         b * (from[Shape::kLogSum] + fall_b * from[Shape::kRowSum]);
  into[Shape::kRowMax] = top;
  into[Shape::kRowSum] = a * into[Shape::kRowSum] + b * from[Shape::kRowSum];
  for (Pos n = Shape::kDistanceSum; n < shape.diagonals(); ++n) into[n] = a * into[n] + b * from[n];
  for (Pos n = shape.diagonals(); n < shape.top_scores(); ++n) {
    if (into[n] == kNothing) into[n] = from[n];  // a key is seen by one of the two
  }
  merge_top(shape, into, from);
}

RowTeller::RowTeller(const AttendCall& call, const RowWants& wants)
    : call_(call),
      shape_(wants),
      entropy_(wants.entropy),
      distance_(wants.distance),
      scratch_(static_cast<std::size_t>(shape_.width())),
      numbers_(static_cast<std::size_t>(shape_.top_scores() - RecordShape::kMasses)),
      top_(static_cast<std::size_t>(shape_.n_top)) {
  const std::span<const float> all = numbers_;
  const auto n_masses = static_cast<std::size_t>(shape_.n_masses),
             n_clipped = static_cast<std::size_t>(shape_.n_clipped);
  seen_.masses = all.first(n_masses);
  seen_.clipped = all.subspan(n_masses, n_clipped);
  seen_.diagonals = all.subspan(n_masses + n_clipped);
  seen_.top = top_;
}

/// From sums relative to the row's largest weight, and scores, to weights.
void RowTeller::normalise(const float* record, double weight_of_max) {
  const double sum = record[RecordShape::kRowSum];
  // Without any weight beside its sink score a row has no entropy, whatever the logarithm.
  const double entropy = !entropy_ || weight_of_max == 0
                             ? 0.0
                             : -kLn2 * weight_of_max * (record[RecordShape::kLogSum] + std::log2(weight_of_max) * sum);
  seen_.entropy = static_cast<float>(entropy < 0 ? 0.0 : entropy);  // rounding; NaN stays
  seen_.distance = distance_ ? static_cast<float>(weight_of_max * record[RecordShape::kDistanceSum]) : 0.0F;
  const auto weight_of = [&](float score) {
    return static_cast<float>(weight_of_max * std::exp2(static_cast<double>(score) - record[RecordShape::kRowMax]));
  };
  for (Pos n = RecordShape::kMasses; n < shape_.top_scores(); ++n) {
    float& number = numbers_[static_cast<std::size_t>(n - RecordShape::kMasses)];
    number = n < shape_.diagonals() ? static_cast<float>(weight_of_max * record[n]) : weight_of(record[n]);
  }
  for (Pos n = 0; n < shape_.n_top; ++n) {
    const kernel::ScoredKey key = key_at(shape_, record, n);
    const float weight = weight_of(key.score);
    top_[static_cast<std::size_t>(n)] = weight > 0 ? WeightedKey{key.position, weight} : WeightedKey{};
  }
}

void RowTeller::tell(const float* record, Pos query, int head, float lse, std::span<const float> o) {
  seen_.head = head;
  seen_.q_position = call_.q_begin + query;
  seen_.lse = lse;
  seen_.o = o;
  const float row_max = record[RecordShape::kRowMax], row_sum = record[RecordShape::kRowSum];
  seen_.max_score = row_sum == 0 ? kNothing : static_cast<float>(static_cast<double>(row_max) * kLn2);
  if (row_sum == 0) {
    seen_.entropy = seen_.distance = 0.0F;
    std::ranges::fill(numbers_, 0.0F);
    std::ranges::fill(top_, WeightedKey{});
  } else {
    const bool no_sink = call_.sink_scores.empty() || is_uniform(call_, head);
    const float sink = no_sink ? kNothing : call_.sink_scores[static_cast<std::size_t>(head)];
    normalise(record, weight_of_max(row_max, row_sum, sink));
  }
  for (RowProbe* probe : call_.probes) probe->take(seen_);
}

}  // namespace saccade::detail
