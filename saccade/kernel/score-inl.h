// The vector loops of score.h, compiled once per target by score.cc.

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "saccade/kernel/score.h"

#if defined(SACCADE_KERNEL_SCORE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SACCADE_KERNEL_SCORE_INL_H_
#undef SACCADE_KERNEL_SCORE_INL_H_
#else
#define SACCADE_KERNEL_SCORE_INL_H_
#endif

#include "saccade/kernel/exp2-inl.h"
#include "saccade/kernel/visit-inl.h"

HWY_BEFORE_NAMESPACE();
namespace saccade::kernel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Four rows of four to four columns of four, at out + c out_stride.
HWY_INLINE void transpose_4x4(const float* HWY_RESTRICT rows, std::ptrdiff_t stride, float* HWY_RESTRICT out,
                              std::ptrdiff_t out_stride) {
  const hn::CappedTag<float, 4> d;
  const hn::RepartitionToWide<decltype(d)> dd;
  const auto r0 = hn::LoadU(d, rows), r1 = hn::LoadU(d, rows + stride), r2 = hn::LoadU(d, rows + 2 * stride),
             r3 = hn::LoadU(d, rows + 3 * stride);
  const auto low01 = hn::BitCast(dd, hn::InterleaveLower(d, r0, r1));
  const auto high01 = hn::BitCast(dd, hn::InterleaveUpper(d, r0, r1));
  const auto low23 = hn::BitCast(dd, hn::InterleaveLower(d, r2, r3));
  const auto high23 = hn::BitCast(dd, hn::InterleaveUpper(d, r2, r3));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(dd, low01, low23)), d, out);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(dd, low01, low23)), d, out + out_stride);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(dd, high01, high23)), d, out + 2 * out_stride);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(dd, high01, high23)), d, out + 3 * out_stride);
}

inline void PackTile(const float* HWY_RESTRICT rows, int n_rows, int dim, float* HWY_RESTRICT tile) {
  int i = 0;
#if HWY_MAX_BYTES >= 16
  for (; i + 4 <= n_rows; i += 4) {
    int c = 0;
    for (; c + 4 <= dim; c += 4) transpose_4x4(rows + i * dim + c, dim, tile + c * kTileRows + i, kTileRows);
    for (; c < dim; ++c) {
      for (int n = 0; n < 4; ++n) tile[c * kTileRows + i + n] = rows[(i + n) * dim + c];
    }
  }
#endif
  for (; i < kTileRows; ++i) {
    for (int c = 0; c < dim; ++c) tile[c * kTileRows + i] = i < n_rows ? rows[i * dim + c] : 0.0F;
  }
}

inline void UnpackTile(float* HWY_RESTRICT tile, const float* HWY_RESTRICT sums, int n_rows, int dim,
                       float* HWY_RESTRICT rows) {
  const F d;
  for (int n = 0; n < n_rows; n += kLanes) {
    const V sum = hn::Load(d, sums + n);
    const auto nothing = hn::Eq(sum, hn::Zero(d));  // NaN is something
    for (int c = 0; c < dim; ++c) {
      float* const at = tile + c * kTileRows + n;
      hn::Store(hn::IfThenZeroElse(nothing, hn::Div(hn::Load(d, at), sum)), d, at);
    }
  }
  int i = 0;
#if HWY_MAX_BYTES >= 16
  for (; i + 4 <= n_rows; i += 4) {
    for (int c = 0; c < dim; c += 4) transpose_4x4(tile + c * kTileRows + i, kTileRows, rows + i * dim + c, dim);
  }
#endif
  for (; i < n_rows; ++i) {
    for (int c = 0; c < dim; ++c) rows[i * dim + c] = tile[c * kTileRows + i];
  }
}

/// out[kKeys rows][wide vectors]
template <int kKeys, int kWide>
HWY_INLINE void dot_rows(const float* HWY_RESTRICT a, const float* HWY_RESTRICT tile, int dim, float* HWY_RESTRICT out,
                         std::ptrdiff_t stride) {
  const F d;
  V sum[kKeys][kWide];
  dot_sums(tile, a, dim, sum);
  HWY_UNROLL(8)
  for (int i = 0; i < kKeys; ++i) {
    HWY_UNROLL(3)
    for (int n = 0; n < kWide; ++n) hn::Store(sum[i][n], d, out + i * stride + n * kLanes);
  }
}

inline void DotTile(const float* a, int n_rows, const float* tile, int dim, float* out, std::ptrdiff_t stride) {
  for (int column = 0; column < kTileRows; column += 3 * kLanes) {
    int i = 0;
    for (; i + kHigh <= n_rows; i += kHigh) {
      dot_rows<kHigh, 3>(a + std::ptrdiff_t{i} * dim, tile + column, dim, out + i * stride + column, stride);
    }
    for (; i < n_rows; ++i) {
      dot_rows<1, 3>(a + std::ptrdiff_t{i} * dim, tile + column, dim, out + i * stride + column, stride);
    }
  }
}

inline float ShapeRow(float* HWY_RESTRICT row, int n, ScoreRule rule) {
  const F d;
  const Shaper<F> shaper(d, rule, false);
  V top = hn::Set(d, kNegInf);
  int j = 0;
  for (; j + kLanes <= n; j += kLanes) {
    const V s = shaper(d, hn::LoadU(d, row + j));
    if (!shaper.plain()) hn::StoreU(s, d, row + j);
    top = hn::Max(top, s);
  }
  if (j < n) {
    HWY_ALIGN float last[kLanes];
    for (int i = 0; i < kLanes; ++i) last[i] = j + i < n ? row[j + i] : 0.0F;
    const V s = shaper(d, hn::Load(d, last));
    hn::Store(s, d, last);
    for (int i = 0; j + i < n; ++i) row[j + i] = last[i];
    for (int i = n - j; i < kLanes; ++i) last[i] = kNegInf;
    top = hn::Max(top, hn::Load(d, last));
  }
  return shaper.factor() * hn::GetLane(hn::MaxOfLanes(d, top));
}

/// Calls use(vector of weights, at, how many of them count) along the row.
template <class Use>
HWY_INLINE void weights_of(const float* row, int n, ScoreRule rule, float top, const Use& use) {
  const F d;
  const Shaper<F> shaper(d, rule, false);
  const V factor = hn::Set(d, shaper.factor()), tops = hn::Set(d, top);
  int j = 0;
  for (; j + kLanes <= n; j += kLanes) {
    use(exp2_nonpositive(d, hn::MulSub(hn::LoadU(d, row + j), factor, tops)), j, kLanes);
  }
  if (j < n) {
    HWY_ALIGN float last[kLanes];
    for (int i = 0; i < kLanes; ++i) last[i] = j + i < n ? row[j + i] : row[j];
    use(exp2_nonpositive(d, hn::MulSub(hn::Load(d, last), factor, tops)), j, n - j);
  }
}

inline float SumRow(const float* row, int n, ScoreRule rule, float row_max) {
  const F d;
  V sum = hn::Zero(d);
  weights_of(row, n, rule, row_max, [&](V weight, int, int count) HWY_ATTR {
    sum = hn::Add(
        sum, count == kLanes ? weight : hn::IfThenElseZero(hn::FirstN(d, static_cast<std::size_t>(count)), weight));
  });
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

/// In memory of 16 bits an element.
inline hwy::float16_t* halves(std::uint16_t* at) { return reinterpret_cast<hwy::float16_t*>(at); }
inline const hwy::float16_t* halves(const std::uint16_t* at) { return reinterpret_cast<const hwy::float16_t*>(at); }

inline float KeepRow(const float* HWY_RESTRICT row, int n, ScoreRule rule, float row_max,
                     std::uint16_t* HWY_RESTRICT kept) {
  const F d;
  const hn::Rebind<hwy::float16_t, F> dh;
  V sum = hn::Zero(d);
  weights_of(row, n, rule, row_max, [&](V weight, int j, int count) HWY_ATTR {
    const auto half = hn::DemoteTo(dh, weight);
    if (count == kLanes) {
      sum = hn::Add(sum, weight);
      return hn::StoreU(half, dh, halves(kept + j));
    }
    sum = hn::Add(sum, hn::IfThenElseZero(hn::FirstN(d, static_cast<std::size_t>(count)), weight));
    HWY_ALIGN std::uint16_t last[kLanes];
    hn::Store(half, dh, halves(last));
    for (int i = 0; i < count; ++i) kept[j + i] = last[i];
  });
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

inline void WeighRow(float* row, int n, ScoreRule rule, float row_max, float gain) {
  const F d;
  const V gains = hn::Set(d, gain);
  weights_of(row, n, rule, row_max, [&](V weight, int j, int count) HWY_ATTR {
    weight = hn::Mul(weight, gains);
    if (count == kLanes) return hn::StoreU(weight, d, row + j);
    HWY_ALIGN float last[kLanes];
    hn::Store(weight, d, last);
    for (int i = 0; i < count; ++i) row[j + i] = last[i];
  });
}

inline void AddColumns(const float* HWY_RESTRICT rows, int n_rows, std::ptrdiff_t stride, int n,
                       float* HWY_RESTRICT sums) {
  const F d;
  int j = 0;
  for (; j + 4 * kLanes <= n; j += 4 * kLanes) {
    V sum[4];
    for (int i = 0; i < 4; ++i) sum[i] = hn::LoadU(d, sums + j + i * kLanes);
    for (int r = 0; r < n_rows; ++r) {
      const float* at = rows + r * stride + j;
      HWY_UNROLL(4)
      for (int i = 0; i < 4; ++i) sum[i] = hn::Add(sum[i], hn::LoadU(d, at + i * kLanes));
    }
    for (int i = 0; i < 4; ++i) hn::StoreU(sum[i], d, sums + j + i * kLanes);
  }
  for (; j < n; ++j) {
    for (int r = 0; r < n_rows; ++r) sums[j] += rows[r * stride + j];
  }
}

/// sums[j] += sum over kRows rows of gain kept[., j]; reads and writes whole vectors.
template <int kRows>
HWY_INLINE void add_kept_rows(const std::uint16_t* HWY_RESTRICT kept, std::ptrdiff_t stride, int n, const float* gain,
                              float* HWY_RESTRICT sums) {
  const F d;
  const hn::Rebind<hwy::float16_t, F> dh;
  V gains[kRows];
  for (int i = 0; i < kRows; ++i) gains[i] = hn::Set(d, gain[i]);
  for (int j = 0; j < n; j += kLanes) {
    V sum = hn::LoadU(d, sums + j);
    HWY_UNROLL(8)
    for (int i = 0; i < kRows; ++i) {
      sum = hn::Add(sum, hn::Mul(hn::PromoteTo(d, hn::LoadU(dh, halves(kept + i * stride + j))), gains[i]));
    }
    hn::StoreU(sum, d, sums + j);
  }
}

/// Both sums over rows [r, r + kRows). Along diagonals the earlier rows begin so many elements before their first.
template <int kRows>
HWY_INLINE void add_kept_twice(const std::uint16_t* kept, std::ptrdiff_t stride, int n_rows, int r, int n,
                               const float* gain, float* columns, float* diagonals) {
  kept += r * stride;
  add_kept_rows<kRows>(kept, stride, n, gain + r, columns);
  add_kept_rows<kRows>(kept - (kRows - 1), stride + 1, n + kRows - 1, gain + r, diagonals + n_rows - r - kRows);
}

inline void AddKept(const std::uint16_t* kept, std::ptrdiff_t stride, int n_rows, int n, const float* gain,
                    float* columns, float* diagonals) {
  constexpr int kRows = 8;  // as many streams from memory
  static_assert(kLanes + kRows <= kKeptMargin);
  int r = 0;
  for (; r + kRows <= n_rows; r += kRows) {
    add_kept_twice<kRows>(kept, stride, n_rows, r, n, gain, columns, diagonals);
  }
  for (; r < n_rows; ++r) add_kept_twice<1>(kept, stride, n_rows, r, n, gain, columns, diagonals);
}

/// The least of these levels that is larger than `last`, or INT32_MAX.
HWY_INLINE std::int32_t next_level(const std::int32_t* levels, std::int32_t last) {
  std::int32_t next = INT32_MAX;
  for (int i = 0; i < kLanes; ++i) next = levels[i] > last && levels[i] < next ? levels[i] : next;
  return next;
}

inline void AddByLevel(const float* HWY_RESTRICT o, const float* row_sum, const float* factor,
                       const std::int32_t* level, int v_dim, float* HWY_RESTRICT all_sums) {
  const F d;
  const hn::RebindToSigned<F> di;
  constexpr int kVectors = kTileRows / kLanes;
  // Dimensions come outermost, so that o streams from memory in order; each vector's levels are found before.
  hn::Mask<F> here[kTileRows];
  float* sums[kTileRows];
  int ends[kVectors], n_all = 0;
  V factors[kVectors];
  for (int n = 0; n < kVectors; ++n) {
    factors[n] = hn::Load(d, factor + n * kLanes);
    const auto levels = hn::Load(di, level + n * kLanes);
    for (std::int32_t at = -1; (at = next_level(level + n * kLanes, at)) != INT32_MAX; ++n_all) {
      here[n_all] = hn::RebindMask(d, hn::Eq(levels, hn::Set(di, at)));
      sums[n_all] = all_sums + std::ptrdiff_t{at} * (1 + v_dim) * kTileRows + n * kLanes;
    }
    ends[n] = n_all;
  }
  for (int c = 0; c <= v_dim; ++c) {
    const float* const values = c == 0 ? row_sum : o + (c - 1) * kTileRows;
    for (int n = 0, i = 0; n < kVectors; ++n) {
      const V value = hn::Mul(factors[n], hn::Load(d, values + n * kLanes));
      hwy::Prefetch(values + n * kLanes + v_dim * kTileRows);  // a block ahead
      for (; i < ends[n]; ++i) {
        float* const to = sums[i] + c * kTileRows;
        hn::Store(hn::Add(hn::Load(d, to), hn::IfThenElseZero(here[i], value)), d, to);
      }
    }
  }
}

}  // namespace saccade::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SACCADE_KERNEL_SCORE_INL_H_
