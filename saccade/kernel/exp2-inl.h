// Vector exponentials; included once per target by the kernels of this folder.

#include "hwy/highway.h"
#include "saccade/kernel/visit.h"

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

/// What tanh_of_log2 wants its argument multiplied by.
inline constexpr double kTwoLog2e = 2.8853900817779268;

/// tanh(y / kTwoLog2e), a few ulp. With u = 2^-|y| it is (1 - u) / (1 + u): near 0 the numerator is computed without
/// cancellation, near 1 the small rest 2 u / (1 + u) is taken off 1, so that its error hardly counts. NaN stays NaN.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V tanh_of_log2(D d, V y) {
  const V one = hn::Set(d, 1.0F);
  // No further than -30: there tanh is 1 to the last bit.
  const Split<D> s = split_exponent(d, at_least(d, hn::Set(d, -30.0F), hn::Neg(hn::Abs(y))));
  // 2^f - 1 = f Q(f), Q with the least relative error (1.1e-8): P above is only good beside the 1 it is added to.
  V q = hn::Set(d, 0.00015403512225020677F);
  q = hn::MulAdd(q, s.fraction, hn::Set(d, 0.0013390735257416964F));
  q = hn::MulAdd(q, s.fraction, hn::Set(d, 0.009618237614631653F));
  q = hn::MulAdd(q, s.fraction, hn::Set(d, 0.05550357326865196F));
  q = hn::MulAdd(q, s.fraction, hn::Set(d, 0.24022649228572845F));
  q = hn::MulAdd(q, s.fraction, hn::Set(d, 0.6931471824645996F));
  const V fq = hn::Mul(s.fraction, q);
  const V u = hn::MulAdd(s.power, fq, s.power);
  const V minus_t = hn::NegMulAdd(s.power, fq, hn::Sub(one, s.power));  // 1 - u
  const auto near_zero = hn::Gt(u, hn::Set(d, 0.5F));
  const V part = hn::Div(hn::IfThenElse(near_zero, minus_t, hn::Add(u, u)), hn::Add(one, u));
  return hn::CopySign(hn::IfThenElse(near_zero, part, hn::Sub(one, part)), y);
}

/// How scores are kept before the exponential: 2^(score factor - m). Leaving the factor to the last fused multiply-add
/// saves the rounding of the score, which at a soft cap of 50 would be worth 4e-6 of a weight.
template <class D, class V = hn::Vec<D>>
class Shaper {
 public:
  Shaper(D d, ScoreRule rule, bool with_bias)
      : capped_(rule.softcap > 0),
        plain_(!capped_ && !with_bias && rule.scale != 0),
        factor_(static_cast<float>(kLog2e * (plain_                  ? rule.scale
                                             : with_bias || !capped_ ? 1.0
                                                                     : rule.softcap))),
        before_(hn::Set(
            d, capped_ ? static_cast<float>(static_cast<double>(rule.scale) / rule.softcap * kTwoLog2e) : rule.scale)),
        cap_(hn::Set(d, rule.softcap)) {}

  float factor() const { return factor_; }
  /// The dot product is kept as it is.
  bool plain() const { return plain_; }

  HWY_INLINE V operator()(D d, V dot) const {
    if (plain_) return dot;
    const V s = hn::Mul(dot, before_);
    return capped_ ? tanh_of_log2(d, s) : s;
  }
  HWY_INLINE V operator()(D d, V dot, V bias) const {
    return capped_ ? hn::MulAdd(cap_, tanh_of_log2(d, hn::Mul(dot, before_)), bias) : hn::MulAdd(dot, before_, bias);
  }

 private:
  static constexpr double kLog2e = 1.4426950408889634;
  bool capped_, plain_;
  float factor_;
  V before_, cap_;
};

}  // namespace saccade::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SACCADE_KERNEL_EXP2_INL_H_
