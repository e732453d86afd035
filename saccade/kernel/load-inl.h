// Rows of any storage type to f32, compiled once per target by load.cc.

#include <cstring>

#include "hwy/highway.h"
#include "saccade/base/half.h"
#include "saccade/kernel/visit.h"

#if defined(SACCADE_KERNEL_LOAD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SACCADE_KERNEL_LOAD_INL_H_
#undef SACCADE_KERNEL_LOAD_INL_H_
#else
#define SACCADE_KERNEL_LOAD_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace saccade::kernel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F8 = hn::CappedTag<float, 8>;
inline constexpr int kStep = static_cast<int>(HWY_MAX_BYTES / 4 < 8 ? HWY_MAX_BYTES / 4 : 8);

template <class D>
HWY_INLINE hn::Vec<D> scale_of(D d, const std::byte* block) {
#if HWY_TARGET <= HWY_AVX2
  // Four halves are converted where they are read (the scale and six bytes behind it): a narrow conversion and one
  // broadcast are fewer steps than a broadcast of words and a wide conversion.
  const hn::CappedTag<float, 4> d4;
  const hn::Rebind<hwy::float16_t, decltype(d4)> dh;
  return hn::Set(d, hn::GetLane(hn::PromoteTo(d4, hn::LoadU(dh, reinterpret_cast<const hwy::float16_t*>(block)))));
#else
  std::uint16_t scale;
  std::memcpy(&scale, block, sizeof scale);
  return hn::Set(d, f32_from_f16(scale));
#endif
}

/// Elements of a block before the scale; `at` as for `load`.
template <DType kType, class D>
HWY_INLINE hn::Vec<hn::RebindToSigned<D>> whole_numbers(D, const std::byte* bytes, int at) {
  const hn::RebindToSigned<D> di;
  if constexpr (kType == DType::q8_0) {
    const hn::Rebind<std::int8_t, D> d8;
    return hn::PromoteTo(di, hn::LoadU(d8, reinterpret_cast<const std::int8_t*>(bytes) + at));
  } else {
    static_assert(kType == DType::q4_0);
    const hn::Rebind<std::uint8_t, D> d8;
    const auto pairs = hn::PromoteTo(di, hn::LoadU(d8, reinterpret_cast<const std::uint8_t*>(bytes) + at % 16));
    const auto halves = at < 16 ? hn::And(pairs, hn::Set(di, 15)) : hn::ShiftRight<4>(pairs);
    return hn::Sub(halves, hn::Set(di, 8));
  }
}

/// Where the block of the row begins that element `at` lies in.
template <DType kType>
HWY_INLINE const std::byte* block_of(const std::byte* row, int at) {
  return row + at / 32 * static_cast<int>(row_bytes(kType, 32));
}

/// `load` (below) from a block whose scale is known.
template <DType kType, class D>
HWY_INLINE hn::Vec<D> load(D d, const std::byte* row, int at, hn::Vec<D> scale) {
  return hn::Mul(scale, hn::ConvertTo(d, whole_numbers<kType>(d, block_of<kType>(row, at) + 2, at % 32)));
}

/// As many elements as `d` has lanes (at most 16) from element `at` of a row; `at` is a multiple of that number, so
/// that no vector straddles two blocks of q8_0 or two halves of one of q4_0.
template <DType kType, class D>
HWY_INLINE hn::Vec<D> load(D d, const std::byte* row, int at) {
  if constexpr (kType == DType::f32) {
    return hn::LoadU(d, reinterpret_cast<const float*>(row) + at);
  } else if constexpr (kType == DType::f16) {
#if HWY_TARGET <= HWY_AVX2
    const hn::Rebind<hwy::float16_t, D> dh;
    return hn::PromoteTo(d, hn::LoadU(dh, reinterpret_cast<const hwy::float16_t*>(row) + at));
#else
    // Without an instruction for it Highway's conversion makes numbers of inf and NaN; this one does not.
    const hn::Rebind<std::uint16_t, D> du16;
    const hn::RebindToUnsigned<D> du;
    const auto half = hn::PromoteTo(du, hn::LoadU(du16, reinterpret_cast<const std::uint16_t*>(row) + at));
    const auto sign = hn::ShiftLeft<16>(hn::And(half, hn::Set(du, 0x8000U)));
    const auto magnitude = hn::And(half, hn::Set(du, 0x7fffU));
    const auto number = hn::Mul(hn::BitCast(d, hn::ShiftLeft<13>(magnitude)), hn::Set(d, 0x1p112F));
    const auto not_finite = hn::Gt(magnitude, hn::Set(du, 0x7bffU));
    const auto top = hn::IfThenElseZero(not_finite, hn::Set(du, 0x7f800000U));
    return hn::BitCast(d, hn::Or(hn::Or(hn::BitCast(du, number), top), sign));
#endif
  } else if constexpr (kType == DType::bf16) {
    const hn::Rebind<std::uint16_t, D> du16;
    const hn::RebindToUnsigned<D> du32;
    const auto half = hn::LoadU(du16, reinterpret_cast<const std::uint16_t*>(row) + at);
    return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du32, half)));
  } else {
    return load<kType>(d, row, at, scale_of(d, block_of<kType>(row, at)));
  }
}

template <DType kType>
HWY_INLINE hn::Vec<F8> load(const std::byte* row, int at) {
  return load<kType>(F8(), row, at);
}

template <DType kType>
void load_rows(const std::byte* rows, std::ptrdiff_t stride, int n_rows, int dim, float* HWY_RESTRICT out) {
  const F8 d;
  for (int row = 0; row < n_rows; ++row, rows += stride, out += dim) {
    for (int at = 0; at < dim; at += kStep) hn::StoreU(load<kType>(rows, at), d, out + at);
  }
}

template <DType kType>
bool load_panels(const std::byte* rows, std::ptrdiff_t stride, int n_rows, int dim, float* HWY_RESTRICT out) {
  const F8 d;
  auto stain = hn::Zero(d);  // 0 x value stays 0 unless a value is NaN or inf
  for (int row = 0; row < n_rows; ++row, rows += stride) {
    for (int at = 0; at < dim; at += kStep) {
      const auto value = load<kType>(rows, at);
      stain = hn::MulAdd(value, hn::Zero(d), stain);
      hn::StoreU(value, d, out + (at / kPanel * n_rows + row) * kPanel + at % kPanel);
    }
  }
  return hn::AllTrue(d, hn::Eq(stain, stain));
}

}  // namespace saccade::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SACCADE_KERNEL_LOAD_INL_H_
