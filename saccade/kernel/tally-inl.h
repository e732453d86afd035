// The loops behind tally.h, compiled once per target by tally.cc. Whole vectors, then the last few one by one.

#include <algorithm>
#include <cmath>

#include "hwy/highway.h"
#include "saccade/kernel/tally.h"

#if defined(SACCADE_KERNEL_TALLY_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SACCADE_KERNEL_TALLY_INL_H_
#undef SACCADE_KERNEL_TALLY_INL_H_
#else
#define SACCADE_KERNEL_TALLY_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace saccade::kernel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using TF = hn::CappedTag<float, 16>;
using TV = hn::Vec<TF>;

/// `join(sum, weight)` down each column, from zero.
template <class Join>
HWY_INLINE void fold_columns(const Grid& grid, float* HWY_RESTRICT out, const Join& join) {
  const TF d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  int column = 0;
  for (; column + 2 * lanes <= grid.n_columns; column += 2 * lanes) {
    TV a = hn::Zero(d);
    TV b = hn::Zero(d);
    const float* at = grid.at + column;
    for (int row = 0; row < grid.n_rows; ++row, at += grid.stride) {
      a = join(a, hn::LoadU(d, at));
      b = join(b, hn::LoadU(d, at + lanes));
    }
    hn::StoreU(a, d, out + column);
    hn::StoreU(b, d, out + column + lanes);
  }
  const hn::CappedTag<float, 1> d1;
  for (; column < grid.n_columns; ++column) {
    auto sum = hn::Zero(d1);
    for (int row = 0; row < grid.n_rows; ++row) sum = join(sum, hn::Set(d1, grid.at[row * grid.stride + column]));
    out[column] = hn::GetLane(sum);
  }
}

/// `join(sum, weights of a vector, its column)` along each row, from zero; `last` folds the lanes, `one` adds the rest.
template <class Join, class Last, class One>
HWY_INLINE void fold_rows(const Grid& grid, float* HWY_RESTRICT out, const Join& join, const Last& last,
                          const One& one) {
  const TF d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  for (int row = 0; row < grid.n_rows; ++row) {
    const float* at = grid.at + row * grid.stride;
    TV a = hn::Zero(d);
    TV b = hn::Zero(d);
    int column = 0;
    for (; column + 2 * lanes <= grid.n_columns; column += 2 * lanes) {
      a = join(a, hn::LoadU(d, at + column), row, column);
      b = join(b, hn::LoadU(d, at + column + lanes), row, column + lanes);
    }
    float sum = last(a, b);
    for (; column < grid.n_columns; ++column) sum = one(sum, at[column], row, column);
    out[row] = sum;
  }
}

inline void sum_columns_of(const Grid& grid, float* sums, float* squares) {
  if (sums) fold_columns(grid, sums, [](auto sum, auto weight) { return hn::Add(sum, weight); });
  if (squares) fold_columns(grid, squares, [](auto sum, auto weight) { return hn::MulAdd(weight, weight, sum); });
}

inline void max_columns_of(const Grid& grid, float* maxima) {
  fold_columns(grid, maxima, [](auto high, auto weight) { return hn::Max(high, weight); });
}

inline void sum_rows_of(const Grid& grid, float* sums) {
  const TF d;
  fold_rows(
      grid, sums, [](TV sum, TV weight, int, int) { return hn::Add(sum, weight); },
      [d](TV a, TV b) { return hn::GetLane(hn::SumOfLanes(d, hn::Add(a, b))); },
      [](float sum, float weight, int, int) { return sum + weight; });
}

inline void max_rows_of(const Grid& grid, float* maxima) {
  const TF d;
  fold_rows(
      grid, maxima, [](TV high, TV weight, int, int) { return hn::Max(high, weight); },
      [d](TV a, TV b) { return hn::GetLane(hn::MaxOfLanes(d, hn::Max(a, b))); },
      [](float high, float weight, int, int) { return std::max(high, weight); });
}

inline void dot_rows_of(const Grid& grid, const float* x, std::ptrdiff_t x_stride, float* dots) {
  const TF d;
  fold_rows(
      grid, dots,
      [=](TV sum, TV weight, int row, int column) {
        return hn::MulAdd(weight, hn::LoadU(d, x + row * x_stride + column), sum);
      },
      [d](TV a, TV b) { return hn::GetLane(hn::SumOfLanes(d, hn::Add(a, b))); },
      [=](float sum, float weight, int row, int column) { return sum + weight * x[row * x_stride + column]; });
}

/// kAdd: to what is there.
template <bool kAdd>
HWY_INLINE void write_whole_of(const Grid& grid, float scale, std::int32_t* out, std::ptrdiff_t out_stride) {
  const TF d;
  const hn::RebindToSigned<TF> di;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const TV scales = hn::Set(d, scale);
  for (int row = 0; row < grid.n_rows; ++row) {
    const float* from = grid.at + row * grid.stride;
    std::int32_t* to = out + row * out_stride;
    int column = 0;
    for (; column + lanes <= grid.n_columns; column += lanes) {
      const auto whole = hn::NearestInt(hn::Mul(hn::LoadU(d, from + column), scales));
      hn::StoreU(kAdd ? hn::Add(hn::LoadU(di, to + column), whole) : whole, di, to + column);
    }
    for (; column < grid.n_columns; ++column) {
      const auto whole = static_cast<std::int32_t>(std::lrint(from[column] * scale));
      to[column] = kAdd ? to[column] + whole : whole;
    }
  }
}

inline std::int32_t sum_whole_of(const std::int32_t* const* parts, int n_parts, int n, std::int32_t* sums) {
  const hn::RebindToSigned<TF> di;
  const int lanes = static_cast<int>(hn::Lanes(di));
  auto high = hn::Zero(di);
  int at = 0;
  for (; at + lanes <= n; at += lanes) {
    auto sum = hn::Zero(di);
    for (int part = 0; part < n_parts; ++part) sum = hn::Add(sum, hn::LoadU(di, parts[part] + at));
    hn::StoreU(sum, di, sums + at);
    high = hn::Max(high, sum);
  }
  std::int32_t most = hn::GetLane(hn::MaxOfLanes(di, high));
  for (; at < n; ++at) {
    sums[at] = 0;
    for (int part = 0; part < n_parts; ++part) sums[at] += parts[part][at];
    most = std::max(most, sums[at]);
  }
  return most;
}

inline void mark_above_of(const float* weights, int n, float floor, std::uint32_t* words) {
  const TF d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  std::fill_n(words, 4, 0U);
  int at = 0;
  for (; at + lanes <= n; at += lanes) {
    std::uint8_t bits[8] = {};
    hn::StoreMaskBits(d, hn::Gt(hn::LoadU(d, weights + at), hn::Set(d, floor)), bits);
    words[at / 32] |= (bits[0] | static_cast<std::uint32_t>(bits[1]) << 8U) << (at % 32);
  }
  for (; at < n; ++at) words[at / 32] |= static_cast<std::uint32_t>(weights[at] > floor) << (at % 32);
}

}  // namespace saccade::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SACCADE_KERNEL_TALLY_INL_H_
