#include "saccade/kernel/few.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "saccade/kernel/few.cc"
#include "hwy/foreach_target.h"  // NOLINT: compiles what follows once per target
#include "hwy/highway.h"
#include "saccade/kernel/few-inl.h"

HWY_BEFORE_NAMESPACE();
namespace saccade::kernel::HWY_NAMESPACE {

void VisitFew(const FewRows& rows, const RawBlock& block, const FewMask& mask, ScoreRule rule, float* scores) {
  few::visit(rows, block, mask, rule, scores);
}

void PackFew(const float* q, int n_rows, int head_dim, float* out) { few::pack_q(q, n_rows, head_dim, out); }

}  // namespace saccade::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace saccade::kernel {

HWY_EXPORT(VisitFew);
HWY_EXPORT(PackFew);

void pack_few(const float* q, int n_rows, int head_dim, float* out) noexcept {
  HWY_DYNAMIC_DISPATCH(PackFew)(q, n_rows, head_dim, out);
}

void visit_few(const FewRows& rows, const RawBlock& block, const FewMask& mask, ScoreRule rule,
               float* scores) noexcept {
  HWY_DYNAMIC_DISPATCH(VisitFew)(rows, block, mask, rule, scores);
}

}  // namespace saccade::kernel
#endif
