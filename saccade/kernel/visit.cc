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

const char* TargetName() { return hwy::TargetName(HWY_TARGET); }

}  // namespace saccade::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "saccade/base/error.h"
#include "saccade/kernel/fixed.h"
#include "saccade/kernel/targets.h"

namespace saccade::kernel {

HWY_EXPORT(Visit);
HWY_EXPORT(LoadRows);
HWY_EXPORT(LoadPanels);
HWY_EXPORT(TargetName);

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

std::vector<std::string> supported_targets() {
  std::vector<std::string> names;
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) names.emplace_back(hwy::TargetName(target));
  return names;
}

void force_target(const std::string& name) {
  hwy::SetSupportedTargetsForTest(0);  // forget an earlier choice
  if (name.empty()) return;
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    if (name == hwy::TargetName(target)) {
      hwy::SetSupportedTargetsForTest(target);
      return;
    }
  }
  std::string line = "target must be one of";
  for (const std::string& known : supported_targets()) line += ' ' + known;
  fail_user(line + ", got " + name);
}

bool has_fixed() noexcept {
#if HWY_ARCH_X86
  static const bool cpu = __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return cpu && (hwy::SupportedTargets() & HWY_AVX3) != 0;  // false where a lesser target is forced
#else
  return false;
#endif
}

std::string chosen_target() { return HWY_DYNAMIC_DISPATCH(TargetName)(); }

}  // namespace saccade::kernel
#endif
