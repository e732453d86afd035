// Vector exponentials; included once per target by the kernels of this folder.

#include "hwy/highway.h"

#if defined(SACCADE_KERNEL_EXP2_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SACCADE_KERNEL_EXP2_INL_H_
#undef SACCADE_KERNEL_EXP2_INL_H_
#else
#define SACCADE_KERNEL_EXP2_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace saccade::kernel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// 2^f = 1 + f P(f) on [-1/2, 1/2]; P minimises the relative error (9.2e-8, degree 5 in all).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp2_fraction_over_f(D d, V f) {
  V p = hn::Set(d, 0.001326472731307149F);
  p = hn::MulAdd(p, f, hn::Set(d, 0.009671512991189957F));
  p = hn::MulAdd(p, f, hn::Set(d, 0.05550733581185341F));
  p = hn::MulAdd(p, f, hn::Set(d, 0.24022242426872253F));
  return hn::MulAdd(p, f, hn::Set(d, 0.6931470036506653F));
}

// x + kMagic leaves round(x) + 127 in the low bits of the mantissa: shifted by 23 they are the exponent field of 2^n.
inline constexpr float kMagic = 12582912.0F + 127.0F;

template <class D, class V = hn::Vec<D>>
struct Split {
  V power;     // 2^round(x)
  V fraction;  // x - round(x)
};

template <class D, class V = hn::Vec<D>>
HWY_INLINE Split<D> split_exponent(D d, V x) {
  const hn::RebindToUnsigned<D> du;
  const V magic = hn::Set(d, kMagic);
  const V shifted = hn::Add(x, magic);
  return {hn::BitCast(d, hn::ShiftLeft<23>(hn::BitCast(du, shifted))), hn::Sub(x, hn::Sub(shifted, magic))};
}

/// The larger of the two; NaN in x survives. On x86 the second operand of Max does, elsewhere that is not promised.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V at_least(D, V floor, V x) {
#if HWY_ARCH_X86 && HWY_TARGET != HWY_EMU128 && HWY_TARGET != HWY_SCALAR
  return hn::Max(floor, x);
#else
  return hn::IfThenElse(hn::Lt(x, floor), floor, x);
#endif
}

/// 2^x for x <= 0 (the softmax never asks for more); below -126.5 and for -inf exactly 0; NaN stays NaN.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp2_nonpositive(D d, V x) {
  const V clamped = at_least(d, hn::Set(d, -127.0F), x);
  const Split<D> s = split_exponent(d, clamped);
  return hn::Mul(s.power, hn::MulAdd(s.fraction, exp2_fraction_over_f(d, s.fraction), hn::Set(d, 1.0F)));
}

/// tanh(x), a few ulp relative: t = exp(-2|x|) - 1 without cancellation, tanh |x| = -t / (t + 2).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V tanh(D d, V x) {
  // -2|x| log2(e), but no further than -30: there tanh is 1 to the last bit.
  const V y = at_least(d, hn::Set(d, -30.0F), hn::Mul(hn::Abs(x), hn::Set(d, -2.885390081777927F)));
  const Split<D> s = split_exponent(d, y);
  const V fp = hn::Mul(s.fraction, exp2_fraction_over_f(d, s.fraction));
  const V t = hn::MulAdd(s.power, fp, hn::Sub(s.power, hn::Set(d, 1.0F)));
  return hn::CopySign(hn::Div(t, hn::Add(t, hn::Set(d, 2.0F))), x);
}

}  // namespace saccade::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SACCADE_KERNEL_EXP2_INL_H_
