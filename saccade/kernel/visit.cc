#include "saccade/kernel/visit.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "saccade/kernel/visit.cc"
#include "hwy/foreach_target.h"  // NOLINT: compiles what follows once per target
#include "hwy/highway.h"
#include "saccade/kernel/load-inl.h"
#include "saccade/kernel/visit-inl.h"

HWY_BEFORE_NAMESPACE();
namespace saccade::kernel::HWY_NAMESPACE {

void Visit(const Tile& tile, const KeyBlock& block, const TileMask& mask, ScoreRule rule, float* scores) {
  visit_tile(tile, block, mask, rule, scores);
}

void LoadRows(DType dtype, const std::byte* rows, std::ptrdiff_t stride, int n_rows, int dim, float* out) {
  switch (dtype) {
    case DType::f32:
      return load_rows<DType::f32>(rows, stride, n_rows, dim, out);
    case DType::f16:
      return load_rows<DType::f16>(rows, stride, n_rows, dim, out);
    case DType::bf16:
      return load_rows<DType::bf16>(rows, stride, n_rows, dim, out);
    case DType::q8_0:
      return load_rows<DType::q8_0>(rows, stride, n_rows, dim, out);
    case DType::q4_0:
      return load_rows<DType::q4_0>(rows, stride, n_rows, dim, out);
  }
}

bool LoadPanels(DType dtype, const std::byte* rows, std::ptrdiff_t stride, int n_rows, int dim, float* out) {
  switch (dtype) {
    case DType::f32:
      return load_panels<DType::f32>(rows, stride, n_rows, dim, out);
    case DType::f16:
      return load_panels<DType::f16>(rows, stride, n_rows, dim, out);
    case DType::bf16:
      return load_panels<DType::bf16>(rows, stride, n_rows, dim, out);
    case DType::q8_0:
      return load_panels<DType::q8_0>(rows, stride, n_rows, dim, out);
    case DType::q4_0:
      return load_panels<DType::q4_0>(rows, stride, n_rows, dim, out);
  }
  return true;
}

}  // namespace saccade::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace saccade::kernel {

HWY_EXPORT(Visit);
HWY_EXPORT(LoadRows);
HWY_EXPORT(LoadPanels);

void visit(const Tile& tile, const KeyBlock& block, const TileMask& mask, ScoreRule rule, float* scores) noexcept {
  HWY_DYNAMIC_DISPATCH(Visit)(tile, block, mask, rule, scores);
}

void load_rows(DType dtype, const std::byte* rows, std::ptrdiff_t row_stride, int n_rows, int dim,
               float* out) noexcept {
  HWY_DYNAMIC_DISPATCH(LoadRows)(dtype, rows, row_stride, n_rows, dim, out);
}

bool load_panels(DType dtype, const std::byte* rows, std::ptrdiff_t row_stride, int n_rows, int dim,
                 float* out) noexcept {
  return HWY_DYNAMIC_DISPATCH(LoadPanels)(dtype, rows, row_stride, n_rows, dim, out);
}

}  // namespace saccade::kernel
#endif
