#include "saccade/kernel/peak.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "saccade/kernel/peak.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // NOLINT: compiles what follows once per target
#include "hwy/highway.h"
#include "saccade/kernel/exp2-inl.h"

HWY_BEFORE_NAMESPACE();
namespace saccade::kernel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int kChains = 12;  // and two operands: what 16 registers hold

PeakWork MultiplyAddWork() { return {kChains, static_cast<int>(hn::Lanes(hn::ScalableTag<float>()))}; }

double MultiplyAdd(std::int64_t n_rounds, float one, float step) {
  const hn::ScalableTag<float> d;
  const auto factor = hn::Set(d, one), added = hn::Set(d, step);
  auto x0 = hn::Zero(d), x1 = x0, x2 = x0, x3 = x0, x4 = x0, x5 = x0;
  auto x6 = x0, x7 = x0, x8 = x0, x9 = x0, x10 = x0, x11 = x0;
  for (std::int64_t round = 0; round < n_rounds; ++round) {
    x0 = hn::MulAdd(x0, factor, added), x1 = hn::MulAdd(x1, factor, added), x2 = hn::MulAdd(x2, factor, added);
    x3 = hn::MulAdd(x3, factor, added), x4 = hn::MulAdd(x4, factor, added), x5 = hn::MulAdd(x5, factor, added);
    x6 = hn::MulAdd(x6, factor, added), x7 = hn::MulAdd(x7, factor, added), x8 = hn::MulAdd(x8, factor, added);
    x9 = hn::MulAdd(x9, factor, added), x10 = hn::MulAdd(x10, factor, added), x11 = hn::MulAdd(x11, factor, added);
  }
  double sum = 0;
  for (const auto x : {x0, x1, x2, x3, x4, x5, x6, x7, x8, x9, x10, x11}) {
    HWY_ALIGN float lanes[HWY_MAX_BYTES / sizeof(float)];
    hn::Store(x, d, lanes);
    for (std::size_t i = 0; i < hn::Lanes(d); ++i) sum += lanes[i];
  }
  return sum;
}

std::uint64_t ReadSum(const std::byte* data, std::size_t bytes) {
  const hn::ScalableTag<std::uint64_t> d;
  const auto* words = reinterpret_cast<const std::uint64_t*>(data);
  const std::size_t n = hn::Lanes(d);
  auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
  // The hardware's prefetcher stops at the end of a page of 4 KiB: asking two pages ahead is worth 10 % beyond the
  // caches.
  constexpr std::size_t kAhead = 8192;
  for (const std::uint64_t* end = words + bytes / 8; words < end; words += 4 * n) {
    for (std::size_t line = 0; line < 4 * n; line += 8) hwy::Prefetch(words + kAhead / 8 + line);
    s0 = hn::Add(s0, hn::LoadU(d, words)), s1 = hn::Add(s1, hn::LoadU(d, words + n));
    s2 = hn::Add(s2, hn::LoadU(d, words + 2 * n)), s3 = hn::Add(s3, hn::LoadU(d, words + 3 * n));
  }
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(s0, s1), hn::Add(s2, s3))));
}

void Exp2Of(std::span<const float> x, std::span<float> y) {
  const hn::ScalableTag<float> d;
  const std::size_t n = hn::Lanes(d);
  for (std::size_t i = 0; i < x.size(); i += 4 * n) {
    for (std::size_t j = i; j < i + 4 * n; j += n) {
      hn::StoreU(exp2_nonpositive(d, hn::LoadU(d, x.data() + j)), d, y.data() + j);
    }
  }
}

}  // namespace saccade::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace saccade::kernel {

HWY_EXPORT(MultiplyAddWork);
HWY_EXPORT(MultiplyAdd);
HWY_EXPORT(ReadSum);
HWY_EXPORT(Exp2Of);

PeakWork multiply_add_work() noexcept { return HWY_DYNAMIC_DISPATCH(MultiplyAddWork)(); }
double multiply_add(std::int64_t n_rounds, float one, float step) noexcept {
  return HWY_DYNAMIC_DISPATCH(MultiplyAdd)(n_rounds, one, step);
}
std::uint64_t read_sum(const std::byte* data, std::size_t bytes) noexcept {
  return HWY_DYNAMIC_DISPATCH(ReadSum)(data, bytes);
}
void exp2_of(std::span<const float> x, std::span<float> y) noexcept { HWY_DYNAMIC_DISPATCH(Exp2Of)(x, y); }

std::uint64_t dependent_adds(std::int64_t n, std::uint64_t step) noexcept {
  std::uint64_t x = 0;
  const auto add = [&] {
    x += step;
#if defined(__GNUC__)
    asm volatile("" : "+r"(x), "+r"(step));  // neither folded into one addition nor made one of a constant
#endif
  };
  for (std::int64_t i = 0; i < n; i += 8) add(), add(), add(), add(), add(), add(), add(), add();
  return x;
}

}  // namespace saccade::kernel
#endif
