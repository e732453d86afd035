#include "saccade/kernel/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "saccade/kernel/targets.cc"
#include "hwy/foreach_target.h"  // NOLINT: compiles what follows once per target
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace saccade::kernel::HWY_NAMESPACE {

const char* TargetName() { return hwy::TargetName(HWY_TARGET); }

}  // namespace saccade::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <atomic>

#include "saccade/base/error.h"
#include "saccade/kernel/bf16.h"
#include "saccade/kernel/fixed.h"
#include "saccade/kernel/matrix_unit.h"

namespace saccade::kernel {

HWY_EXPORT(TargetName);

namespace {

constexpr const char* kMatrixTarget = "AMX";  // the best vectors, and the matrix unit
std::atomic<bool> g_matrix_unit_hidden{false};

/// Highway asks the CPU each time, which in a virtual machine takes 20 us, and we are asked for each matrix of each
/// step.
enum class Known : std::uint8_t { kNothing, kNarrow, kWide };
std::atomic<Known> g_vectors{Known::kNothing};

bool has_wide_vectors() noexcept {
  if (g_vectors == Known::kNothing) {
    g_vectors = (hwy::SupportedTargets() & HWY_AVX3) != 0 ? Known::kWide : Known::kNarrow;
  }
  return g_vectors == Known::kWide;
}

}  // namespace

std::vector<std::string> supported_targets() {
  std::vector<std::string> names;
  const MatrixUnit unit = matrix_unit();
  if (unit == MatrixUnit::kUsed || unit == MatrixUnit::kHidden) names.emplace_back(kMatrixTarget);
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) names.emplace_back(hwy::TargetName(target));
  return names;
}

void force_target(const std::string& name) {
  hwy::SetSupportedTargetsForTest(0);  // forget an earlier choice
  g_matrix_unit_hidden = false;
  g_vectors = Known::kNothing;
  const std::vector<std::string> known = supported_targets();
  if (name.empty() || (name == kMatrixTarget && known.front() == name)) return;
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    if (name == hwy::TargetName(target)) {
      hwy::SetSupportedTargetsForTest(target);
      g_vectors = Known::kNothing;
      g_matrix_unit_hidden = true;
      return;
    }
  }
  std::string line = "target must be one of";
  for (const std::string& one : known) line += ' ' + one;
  fail_user(line + ", got " + name);
}

bool matrix_unit_hidden() noexcept { return g_matrix_unit_hidden; }

bool has_fixed() noexcept {
#if HWY_ARCH_X86
  static const bool cpu = __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return cpu && has_wide_vectors();  // false where a lesser target is forced
#else
  return false;
#endif
}

bool has_bf16() noexcept {
#if HWY_ARCH_X86
  return has_wide_vectors();
#else
  return false;
#endif
}

bool has_bf16_tiles() noexcept { return has_bf16() && matrix_unit() == MatrixUnit::kUsed; }

std::string chosen_target() { return has_bf16_tiles() ? kMatrixTarget : HWY_DYNAMIC_DISPATCH(TargetName)(); }

}  // namespace saccade::kernel
#endif
