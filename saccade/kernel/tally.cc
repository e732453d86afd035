#include "saccade/kernel/tally.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "saccade/kernel/tally.cc"
#include "hwy/foreach_target.h"  // NOLINT: compiles what follows once per target
#include "hwy/highway.h"
#include "saccade/kernel/tally-inl.h"

HWY_BEFORE_NAMESPACE();
namespace saccade::kernel::HWY_NAMESPACE {

void SumColumns(const Grid& grid, float* sums, float* squares) { sum_columns_of(grid, sums, squares); }
void MaxColumns(const Grid& grid, float* maxima) { max_columns_of(grid, maxima); }
void SumRows(const Grid& grid, float* sums) { sum_rows_of(grid, sums); }
void MaxRows(const Grid& grid, float* maxima) { max_rows_of(grid, maxima); }
void DotRows(const Grid& grid, const float* x, std::ptrdiff_t x_stride, float* dots) {
  dot_rows_of(grid, x, x_stride, dots);
}
void AddWhole(const Grid& grid, float scale, std::int32_t* out, std::ptrdiff_t out_stride) {
  write_whole_of<true>(grid, scale, out, out_stride);
}
void PutWhole(const Grid& grid, float scale, std::int32_t* out, std::ptrdiff_t out_stride) {
  write_whole_of<false>(grid, scale, out, out_stride);
}
std::int32_t SumWhole(const std::int32_t* const* parts, int n_parts, int n, std::int32_t* sums) {
  return sum_whole_of(parts, n_parts, n, sums);
}
void MarkAbove(const float* weights, int n, float floor, std::uint32_t* words) {
  mark_above_of(weights, n, floor, words);
}

}  // namespace saccade::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace saccade::kernel {

HWY_EXPORT(SumColumns);
HWY_EXPORT(MaxColumns);
HWY_EXPORT(SumRows);
HWY_EXPORT(MaxRows);
HWY_EXPORT(DotRows);
HWY_EXPORT(AddWhole);
HWY_EXPORT(PutWhole);
HWY_EXPORT(SumWhole);
HWY_EXPORT(MarkAbove);

void sum_columns(const Grid& grid, float* sums, float* squares) noexcept {
  HWY_DYNAMIC_DISPATCH(SumColumns)(grid, sums, squares);
}
void max_columns(const Grid& grid, float* maxima) noexcept { HWY_DYNAMIC_DISPATCH(MaxColumns)(grid, maxima); }
void sum_rows(const Grid& grid, float* sums) noexcept { HWY_DYNAMIC_DISPATCH(SumRows)(grid, sums); }
void max_rows(const Grid& grid, float* maxima) noexcept { HWY_DYNAMIC_DISPATCH(MaxRows)(grid, maxima); }
void dot_rows(const Grid& grid, const float* x, std::ptrdiff_t x_stride, float* dots) noexcept {
  HWY_DYNAMIC_DISPATCH(DotRows)(grid, x, x_stride, dots);
}
void add_whole(const Grid& grid, float scale, std::int32_t* out, std::ptrdiff_t out_stride) noexcept {
  HWY_DYNAMIC_DISPATCH(AddWhole)(grid, scale, out, out_stride);
}
void put_whole(const Grid& grid, float scale, std::int32_t* out, std::ptrdiff_t out_stride) noexcept {
  HWY_DYNAMIC_DISPATCH(PutWhole)(grid, scale, out, out_stride);
}
std::int32_t sum_whole(const std::int32_t* const* parts, int n_parts, int n, std::int32_t* sums) noexcept {
  return HWY_DYNAMIC_DISPATCH(SumWhole)(parts, n_parts, n, sums);
}
void mark_above(const float* weights, int n, float floor, std::uint32_t* words) noexcept {
  HWY_DYNAMIC_DISPATCH(MarkAbove)(weights, n, floor, words);
}

}  // namespace saccade::kernel
#endif
