#include "saccade/kernel/bounds.h"

#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "saccade/kernel/bounds.cc"
#include "hwy/foreach_target.h"  // NOLINT: compiles what follows once per target
#include "hwy/highway.h"
#include "saccade/kernel/load-inl.h"

HWY_BEFORE_NAMESPACE();
namespace saccade::kernel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F16 = hn::CappedTag<float, kBoundLanes>;

/// As many blocks as a vector has lanes: they stand in its lanes, so that nothing is summed across.
template <int kQueries>
void score_lanes(const std::byte* least, const std::byte* most, const float* HWY_RESTRICT q, int dim,
                 float* HWY_RESTRICT out, std::ptrdiff_t stride) {
  const F16 d;
  hn::Vec<F16> sums[kQueries];
  for (auto& sum : sums) sum = hn::Zero(d);
  for (int c = 0; c < dim; ++c) {
    const auto low = load<DType::f16>(d, least + c * kBoundLanes * 2, 0);
    const auto high = load<DType::f16>(d, most + c * kBoundLanes * 2, 0);
    for (int i = 0; i < kQueries; ++i) {
      sums[i] = hn::MulAdd(hn::Set(d, q[i]), high, sums[i]);
      sums[i] = hn::MulAdd(hn::Set(d, q[kQueries + i]), low, sums[i]);
    }
    q += 2 * kQueries;
  }
  for (int i = 0; i < kQueries; ++i) {
    hn::StoreU(hn::IfThenElse(hn::IsNaN(sums[i]), hn::Inf(d), sums[i]), d, out + i * stride);
  }
}

template <int kQueries>
void score(const std::byte* panels, int n_panels, const float* HWY_RESTRICT q, int dim, float* HWY_RESTRICT out,
           std::ptrdiff_t stride) {
  const F16 d;
  const int half_bytes = dim * kBoundLanes * 2;
  for (int panel = 0; panel < n_panels; ++panel, panels += 2 * half_bytes, out += kBoundLanes) {
    for (int lane = 0; lane < kBoundLanes; lane += static_cast<int>(hn::Lanes(d))) {
      const std::byte* least = panels + lane * 2;
      score_lanes<kQueries>(least, least + half_bytes, q, dim, out + lane, stride);
    }
  }
}

void ScoreBounds(const std::uint16_t* panels, int n_panels, const float* q, int n_queries, int dim, float* out,
                 std::ptrdiff_t stride) {
  const auto* bytes = reinterpret_cast<const std::byte*>(panels);
  switch (n_queries) {
    case 1:
      return score<1>(bytes, n_panels, q, dim, out, stride);
    case 2:
      return score<2>(bytes, n_panels, q, dim, out, stride);
    case 3:
      return score<3>(bytes, n_panels, q, dim, out, stride);
    case 4:
      return score<4>(bytes, n_panels, q, dim, out, stride);
    case 5:
      return score<5>(bytes, n_panels, q, dim, out, stride);
    case 6:
      return score<6>(bytes, n_panels, q, dim, out, stride);
    case 7:
      return score<7>(bytes, n_panels, q, dim, out, stride);
    default:
      return score<8>(bytes, n_panels, q, dim, out, stride);
  }
}

}  // namespace saccade::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace saccade::kernel {

HWY_EXPORT(ScoreBounds);

void pack_bound_queries(const float* q, int n_queries, int dim, float* out) noexcept {
  for (int c = 0; c < dim; ++c, out += 2 * n_queries) {
    for (int i = 0; i < n_queries; ++i) {
      const float x = q[i * dim + c];
      out[i] = x < 0 ? 0 : x;
      out[n_queries + i] = x > 0 ? 0 : x;
    }
  }
}

void score_bounds(const std::uint16_t* panels, int n_panels, const float* q, int n_queries, int dim, float* out,
                  std::ptrdiff_t out_stride) noexcept {
  HWY_DYNAMIC_DISPATCH(ScoreBounds)(panels, n_panels, q, n_queries, dim, out, out_stride);
}

}  // namespace saccade::kernel
#endif
