// The visit kernel for few rows, compiled once per target by few.cc.
//
// A vector is four blocks (AVX-512: of four lanes), each of which ends up with one row's dot product. A key, converted
// in a register, is multiplied by four vectors of queries: in the s-th, block b holds row b ^ s, at the dimensions that
// the key has there. So no key is stored or broadcast, and sums over lanes come down to swapping blocks once a key.
// Scores lie with four rows side by side, each with the next few keys, so that the softmax takes four rows at a time.
// Values meet the weights with dimensions in all lanes.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "hwy/highway.h"
#include "saccade/kernel/few.h"

#if defined(SACCADE_KERNEL_FEW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SACCADE_KERNEL_FEW_INL_H_
#undef SACCADE_KERNEL_FEW_INL_H_
#else
#define SACCADE_KERNEL_FEW_INL_H_
#endif

#include "saccade/kernel/exp2-inl.h"
#include "saccade/kernel/load-inl.h"

HWY_BEFORE_NAMESPACE();
namespace saccade::kernel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

namespace few {

using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;
inline constexpr int kLanes = static_cast<int>(HWY_MAX_BYTES / 4 < 16 ? HWY_MAX_BYTES / 4 : 16);
inline constexpr int kSide = 4;                          ///< rows side by side in a vector: a group
inline constexpr int kEach = kLanes / kSide;             ///< dimensions, later keys, of each of them
inline constexpr int kGroupScores = kBlockKeys * kSide;  ///< floats from one group's scores to the next one's
inline constexpr float kNegInf = -std::numeric_limits<float>::infinity();

/// Vectors of queries, and so sums, a key takes for `n` rows of one group.
constexpr int sums_of_group(int n) { return n <= 2 ? n : kSide; }
constexpr int sums_of(int n_rows) {
  return sums_of_group(std::min(n_rows, kSide)) + sums_of_group(n_rows - std::min(n_rows, kSide));
}

/// Sums held in registers at a time: 16 of 32, or 8 of 16, hide a multiply-add's latency.
inline constexpr int kSums = HWY_TARGET <= HWY_AVX3 ? 16 : 8;

/// Where the score of a row and a key lies.
constexpr int at(int row, int key) {
  return row / kSide * kGroupScores + key / kEach * kLanes + row % kSide * kEach + key % kEach;
}

/// Blocks 0 and 1, and 2 and 3, in each other's place.
HWY_INLINE V swap_blocks(V v) {
  if constexpr (kEach == 4) {
    return hn::SwapAdjacentBlocks(v);
  } else if constexpr (kEach == 2) {
    return hn::Shuffle1032(v);
  } else {
    return hn::Shuffle2301(v);
  }
}

/// The sums of a key, `kApart` vectors apart, whose s-th has row b ^ s in block b, to one with row b there. The rows'
/// bits do not depend on which rows lie beside them.
template <int kN, int kApart>
HWY_INLINE V fold(const V* sum) {
  V pairs, others;
  if constexpr (kN == 4) {
    pairs = hn::Add(sum[0], swap_blocks(sum[kApart]));
    others = hn::Add(sum[2 * kApart], swap_blocks(sum[3 * kApart]));
  } else {
    pairs = others = hn::Add(sum[0], swap_blocks(sum[kN == 2 ? kApart : 0]));
  }
  return hn::Add(pairs, hn::ConcatLowerUpper(D(), others, others));
}

/// kEach vectors [row][dimension], one a key, summed over dimensions to one vector [row][key].
HWY_INLINE V sums_by_key(const V* key) {
  const D d;
  if constexpr (kEach == 4) {
    const hn::Repartition<double, D> d64;
    const V ab = hn::Add(hn::InterleaveLower(d, key[0], key[1]), hn::InterleaveUpper(d, key[0], key[1]));
    const V ce = hn::Add(hn::InterleaveLower(d, key[2], key[3]), hn::InterleaveUpper(d, key[2], key[3]));
    const auto low = hn::InterleaveLower(d64, hn::BitCast(d64, ab), hn::BitCast(d64, ce));
    const auto high = hn::InterleaveUpper(d64, hn::BitCast(d64, ab), hn::BitCast(d64, ce));
    return hn::Add(hn::BitCast(d, low), hn::BitCast(d, high));
  } else if constexpr (kEach == 2) {
    return hn::Add(hn::OddEven(key[1], key[0]), hn::Shuffle2301(hn::OddEven(key[0], key[1])));
  } else {
    return key[0];
  }
}

/// Joins the lanes of each row; every lane of a row gets the result.
template <class Join>
HWY_INLINE V over_each_row(V v, const Join& join) {
  if constexpr (kEach >= 2) v = join(v, hn::Shuffle2301(v));
  if constexpr (kEach == 4) v = join(v, hn::Shuffle1032(v));
  return v;
}

/// One number a row in all its lanes.
HWY_INLINE V spread(const float* rows) {
  HWY_ALIGN float lanes[kLanes];
  for (int i = 0; i < kLanes; ++i) lanes[i] = rows[i / kEach];
  return hn::Load(D(), lanes);
}

HWY_INLINE void gather(V v, float* rows) {
  HWY_ALIGN float lanes[kLanes];
  hn::Store(v, D(), lanes);
  for (int row = 0; row < kSide; ++row) rows[row] = lanes[row * kEach];
}

/// Rows one after another, and rows from a list: how to find a key's.
struct Spaced {
  explicit Spaced(const RawRows& rows) : at(rows.at), stride(rows.stride) {}
  HWY_INLINE const std::byte* operator()(int key) const { return at + key * stride; }
  const std::byte* at;
  std::ptrdiff_t stride;
};
struct Listed {
  explicit Listed(const RawRows& rows) : list(rows.list) {}
  HWY_INLINE const std::byte* operator()(int key) const { return list[key]; }
  const std::byte* const* list;
};

/// Asks for `bytes` of memory that are read soon: each line of 64 bytes is asked for once, by whom it begins in, or,
/// where the next bytes lie elsewhere, by whoever has a part of it. Into L2, which has room for the blocks at hand and
/// the next ones: on their way through an L1 of 32 KiB these push out what is at work (head_dim 64 1.4 times, 256 twice
/// as slow on a Zen 4).
template <class Rows>
HWY_INLINE void prefetch(const std::byte* from, std::ptrdiff_t bytes) {
  constexpr std::uintptr_t kLine = 64;
  const std::byte* end = from + bytes;
  if (std::is_same_v<Rows, Spaced>) from += kLine - 1;
  from -= reinterpret_cast<std::uintptr_t>(from) % kLine;
  for (; from < end; from += kLine) __builtin_prefetch(from, 0, 2);
}

/// kLanes elements of a row, zeros past its end.
template <DType kType>
HWY_INLINE V load_to_end(const std::byte* row, int at, int dim) {
  if constexpr (kLanes > kStep) {
    if (at + kLanes > dim) return hn::ZeroExtendVector(D(), load<kType>(row, at));
  }
  return load<kType>(D(), row, at);
}

/// All rows' dots with all keys of the block; keys past the end get garbage.
template <DType kType, int kN, class Rows>
HWY_NOINLINE void score(const float* HWY_RESTRICT q, const RawBlock& block, float* HWY_RESTRICT scores) {
  const D d;
  constexpr int kGroups = kN > kSide ? 2 : 1;
  constexpr int kKeys = std::min<int>(8, std::bit_floor(static_cast<unsigned>(kSums / kN)));  // at once
  constexpr int kTogether = std::max(kKeys, kEach);
  const int dim = block.head_dim;
  const auto bytes = static_cast<std::ptrdiff_t>(row_bytes(kType, dim));
  const Rows row(block.k), ahead(block.k_ahead);
  for (int key = 0; key < block.n_keys; key += kTogether) {
    V dots[kGroups][kTogether];
    for (int first = 0; first < kTogether; first += kKeys) {
      const std::byte* keys[kKeys];
      for (int j = 0; j < kKeys; ++j) {
        const int n = std::min(key + first + j, block.n_keys - 1);
        prefetch<Rows>(ahead(n), bytes);
        keys[j] = row(n);
      }
      V sum[kN][kKeys];
      for (int s = 0; s < kN; ++s) {
        for (int j = 0; j < kKeys; ++j) sum[s][j] = hn::Zero(d);
      }
      const auto multiply = [&](int i, const auto& key_at) {
        V k[kKeys];
        for (int j = 0; j < kKeys; ++j) k[j] = key_at(j);
        for (int s = 0; s < kN; ++s) {
          const V qs = hn::Load(d, q + i * kN + s * kLanes);
          for (int j = 0; j < kKeys; ++j) sum[s][j] = hn::MulAdd(qs, k[j], sum[s][j]);
        }
      };
      if constexpr (block_len(kType) == 1) {
        for (int i = 0; i < dim; i += kLanes) multiply(i, [&](int j) { return load_to_end<kType>(keys[j], i, dim); });
      } else {
        for (int at = 0; at < dim; at += 32) {
          V scale[kKeys];
          for (int j = 0; j < kKeys; ++j) scale[j] = scale_of(d, block_of<kType>(keys[j], at));
          for (int i = at; i < at + 32; i += kLanes) {
            multiply(i, [&](int j) { return load<kType>(d, keys[j], i, scale[j]); });
          }
        }
      }
      for (int j = 0; j < kKeys; ++j) {
        dots[0][first + j] = fold<std::min(kN, kSide), kKeys>(&sum[0][j]);
        if constexpr (kGroups == 2) dots[1][first + j] = fold<kN - kSide, kKeys>(&sum[kSide][j]);
      }
    }
    for (int g = 0; g < kGroups; ++g) {
      for (int j = 0; j < kTogether; j += kEach) {
        hn::Store(sums_by_key(&dots[g][j]), d, scores + g * kGroupScores + (key + j) * kSide);
      }
    }
  }
}

/// Dots to shaped scores, hidden keys to -inf: only for caps, biases and ragged edges.
inline void shape(int n_rows, int n_keys, const FewMask& mask, const Shaper<D>& shaper, float* HWY_RESTRICT scores) {
  const D d;
  for (int row = 0; row < n_rows; row += kSide) {
    for (int key = 0; key < n_keys; key += kEach) {
      float* HWY_RESTRICT here = scores + at(row, key);
      V s = hn::Load(d, here);
      if (mask.bias) {
        HWY_ALIGN float bias[kLanes] = {};
        for (int i = 0; i < kLanes; ++i) {
          const int r = row + i / kEach;
          if (r < n_rows) bias[i] = mask.bias[r * kBlockKeys + key + i % kEach];
        }
        s = shaper(d, s, hn::Load(d, bias));
      } else {
        s = shaper(d, s);
      }
      hn::Store(s, d, here);
    }
  }
  if (!mask.visible) return;
  for (int row = 0; row < n_rows; ++row) {
    const std::uint32_t* words = mask.visible + row * (kBlockKeys / 32);
    for (int key = 0; key < n_keys; ++key) {
      if (!(words[key / 32] >> (key % 32) & 1U)) scores[at(row, key)] = kNegInf;
    }
  }
}

/// Shaped scores, times `c`, to where probes read them, in vectors of 16 rows.
inline void hand_out(const FewRows& rows, int n_keys, float c, const float* HWY_RESTRICT scores) {
  for (int key = 0; key < n_keys; ++key) {
    float* out = rows.scores + key * kTileRows;
    for (int row = 0; row < 16; ++row) out[row] = row < rows.n_rows ? scores[at(row, key)] * c : kNegInf;
  }
}

/// Scores of a group to weights, in place; joins its running maxima and sums. alpha: [kSide], what o shrinks by.
HWY_INLINE void weigh(int n_keys, float c, float* HWY_RESTRICT scores, float* row_max, float* row_sum, float* alpha) {
  const D d;
  const V cs = hn::Set(d, c);
  V top = hn::Set(d, kNegInf);
  for (int key = 0; key < n_keys; key += kEach) top = hn::Max(top, hn::Load(d, scores + key * kSide));
  top = over_each_row(top, [](V a, V b) { return hn::Max(a, b); });
  const V old = spread(row_max);
  const V seen = hn::Max(old, hn::Mul(top, cs));
  const V base = hn::IfThenElse(hn::Eq(seen, hn::Set(d, kNegInf)), hn::Zero(d), seen);  // nothing seen: weights 0
  V sum = hn::Zero(d);
  for (int key = 0; key < n_keys; key += kEach) {
    float* here = scores + key * kSide;
    const V weight = exp2_nonpositive(d, hn::MulSub(hn::Load(d, here), cs, base));
    hn::Store(weight, d, here);
    sum = hn::Add(sum, weight);
  }
  sum = over_each_row(sum, [](V a, V b) { return hn::Add(a, b); });
  const V shrink = exp2_nonpositive(d, hn::Sub(old, base));
  gather(seen, row_max);
  gather(hn::MulAdd(spread(row_sum), shrink, sum), row_sum);
  gather(shrink, alpha);
}

/// o[row] += sum over keys of weight v, for `kRows` rows and the lanes of `kWide` vectors from dimension `i` on.
template <int kRows, int kWide, DType kType, class Rows, class DV>
HWY_INLINE void mix_keys(DV d, const RawBlock& block, const float* HWY_RESTRICT weights, int i, float* HWY_RESTRICT o) {
  constexpr int kStride = static_cast<int>(hn::MaxLanes(DV()));
  constexpr auto kBytes = static_cast<std::ptrdiff_t>(row_bytes(kType, (kWide * kStride + 31) / 32 * 32));
  hn::Vec<DV> sum[kRows][kWide];
  for (int r = 0; r < kRows; ++r) {
    for (int n = 0; n < kWide; ++n) sum[r][n] = hn::Zero(d);
  }
  const Rows row(block.v), ahead(block.v_ahead);
  const auto ahead_begin = static_cast<std::ptrdiff_t>(row_bytes(kType, i / 32 * 32));
  for (int key = 0; key < block.n_keys; ++key) {
    hn::Vec<DV> vs[kWide];
    for (int n = 0; n < kWide; ++n) vs[n] = load<kType>(d, row(key), i + n * kStride);
    prefetch<Rows>(ahead(key) + ahead_begin, kBytes);
    const float* weight = weights + at(0, key);
    for (int r = 0; r < kRows; ++r) {
      const auto w = hn::Set(d, weight[at(r, 0)]);
      for (int n = 0; n < kWide; ++n) sum[r][n] = hn::MulAdd(w, vs[n], sum[r][n]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int n = 0; n < kWide; ++n) {
      float* to = o + r * block.v_dim + i + n * kStride;
      hn::StoreU(hn::Add(hn::LoadU(d, to), sum[r][n]), d, to);
    }
  }
}

/// A row that hides keys must not touch their values: 0 x NaN is NaN.
template <DType kType, class Rows>
HWY_INLINE void mix_seen(const RawBlock& block, const float* HWY_RESTRICT weights, const std::uint32_t* visible,
                         float* HWY_RESTRICT o) {
  const F8 d;
  const Rows row(block.v);
  for (int i = 0; i < block.v_dim; i += kStep) {
    auto sum = hn::Zero(d);
    for (int key = 0; key < block.n_keys; ++key) {
      if (!(visible[key / 32] >> (key % 32) & 1U)) continue;
      sum = hn::MulAdd(hn::Set(d, weights[at(0, key)]), load<kType>(row(key), i), sum);
    }
    hn::StoreU(hn::Add(hn::LoadU(d, o + i), sum), d, o + i);
  }
}

template <int kRows, DType kType, class Rows>
HWY_NOINLINE void mix_rows(const RawBlock& block, const float* weights, float* o) {
  // Half as many again as kSums, where that saves five or six rows another round through the values.
  constexpr int kWide = std::min<int>(4, std::bit_floor(static_cast<unsigned>(kSums * 3 / 2 / kRows)));
  int i = 0;
  for (; i + kWide * kLanes <= block.v_dim; i += kWide * kLanes) {
    mix_keys<kRows, kWide, kType, Rows>(D(), block, weights, i, o);
  }
  for (; i + kLanes <= block.v_dim; i += kLanes) mix_keys<kRows, 1, kType, Rows>(D(), block, weights, i, o);
  for (; i < block.v_dim; i += kStep) mix_keys<kRows, 1, kType, Rows>(F8(), block, weights, i, o);
}

/// Calls `f.operator()<n>()` for the first of the numbers that is at least `least`.
template <int kFirst, int... kMore, class F>
HWY_INLINE void with_count(int least, const F& f) {
  if constexpr (sizeof...(kMore) > 0) {
    if (least > kFirst) return with_count<kMore...>(least, f);
  }
  f.template operator()<kFirst>();
}

template <DType kType, class Rows>
void mix(const FewRows& rows, const RawBlock& block, const FewMask& mask, const float* weights) {
  if (mask.visible) {
    for (int r = 0; r < rows.n_rows; ++r) {
      mix_seen<kType, Rows>(block, weights + at(r, 0), mask.visible + r * (kBlockKeys / 32), rows.o + r * block.v_dim);
    }
  } else {
    with_count<1, 2, 4, 5, 6, 7, 8>(rows.n_rows,
                                    [&]<int kRows>() { mix_rows<kRows, kType, Rows>(block, weights, rows.o); });
  }
}

/// Calls `f.operator()<DType>()` with the type at hand.
template <class F>
HWY_INLINE void with_type(DType type, const F& f) {
  switch (type) {
    case DType::f32:
      return f.template operator()<DType::f32>();
    case DType::f16:
      return f.template operator()<DType::f16>();
    case DType::bf16:
      return f.template operator()<DType::bf16>();
    case DType::q8_0:
      return f.template operator()<DType::q8_0>();
    case DType::q4_0:
      return f.template operator()<DType::q4_0>();
  }
}

template <class Rows>
inline void visit_rows(const FewRows& rows, const RawBlock& block, const FewMask& mask, ScoreRule rule, float* scores) {
  with_type(block.k_dtype, [&]<DType kType>() {
    with_count<1, 2, 4, 5, 6, 8>(sums_of(rows.n_rows),
                                 [&]<int kN>() { score<kType, kN, Rows>(rows.q, block, scores); });
  });
  const Shaper<D> shaper(D(), rule, mask.bias != nullptr);
  if (mask.visible || !shaper.plain()) shape(rows.n_rows, block.n_keys, mask, shaper, scores);
  if (rows.scores) hand_out(rows, block.n_keys, shaper.factor(), scores);
  for (int row = 0; row < rows.n_rows; row += kSide) {
    for (int key = block.n_keys; key % kEach != 0; ++key) {
      for (int r = row; r < row + kSide; ++r) scores[at(r, key)] = kNegInf;
    }
    float alpha[kSide];
    weigh(block.n_keys, shaper.factor(), scores + at(row, 0), rows.row_max + row, rows.row_sum + row, alpha);
    for (int r = 0; r < std::min(kSide, rows.n_rows - row); ++r) {
      if (alpha[r] == 1.0F) continue;
      float* o = rows.o + (row + r) * block.v_dim;
      for (int i = 0; i < block.v_dim; ++i) o[i] *= alpha[r];
    }
  }
  with_type(block.v_dtype, [&]<DType kType>() { mix<kType, Rows>(rows, block, mask, scores); });
}

inline void visit(const FewRows& rows, const RawBlock& block, const FewMask& mask, ScoreRule rule, float* scores) {
  block.k.list ? visit_rows<Listed>(rows, block, mask, rule, scores)
               : visit_rows<Spaced>(rows, block, mask, rule, scores);
}

inline void pack_q(const float* HWY_RESTRICT q, int n_rows, int dim, float* HWY_RESTRICT out) {
  const int first = sums_of_group(std::min(n_rows, kSide)), n = sums_of(n_rows);
  for (int i = 0; i < dim; i += kLanes) {
    for (int s = 0; s < n; ++s) {
      for (int lane = 0; lane < kLanes; ++lane) {
        const int block = lane / kEach;
        const int row = s < kSide ? (block ^ s) % first : kSide + (block ^ (s - kSide)) % (n - kSide);
        *out++ = row < n_rows && i + lane < dim ? q[row * dim + i + lane] : 0.0F;
      }
    }
  }
}

}  // namespace few
}  // namespace saccade::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SACCADE_KERNEL_FEW_INL_H_
