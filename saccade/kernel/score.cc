#include "saccade/kernel/score.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "saccade/kernel/score.cc"
#include "hwy/foreach_target.h"  // NOLINT: compiles what follows once per target
#include "hwy/highway.h"
#include "saccade/kernel/score-inl.h"

#if HWY_ONCE
namespace saccade::kernel {

HWY_EXPORT(PackTile);
HWY_EXPORT(UnpackTile);
HWY_EXPORT(DotTile);
HWY_EXPORT(ShapeRow);
HWY_EXPORT(SumRow);
HWY_EXPORT(KeepRow);
HWY_EXPORT(WeighRow);
HWY_EXPORT(AddColumns);
HWY_EXPORT(AddKept);
HWY_EXPORT(AddByLevel);

void pack_tile(const float* rows, int n_rows, int dim, float* tile) noexcept {
  HWY_DYNAMIC_DISPATCH(PackTile)(rows, n_rows, dim, tile);
}
void unpack_tile(float* tile, const float* sums, int n_rows, int dim, float* rows) noexcept {
  HWY_DYNAMIC_DISPATCH(UnpackTile)(tile, sums, n_rows, dim, rows);
}
void dot_tile(const float* a, int n_rows, const float* tile, int dim, float* out, std::ptrdiff_t out_stride) noexcept {
  HWY_DYNAMIC_DISPATCH(DotTile)(a, n_rows, tile, dim, out, out_stride);
}
float shape_row(float* row, int n, ScoreRule rule) noexcept { return HWY_DYNAMIC_DISPATCH(ShapeRow)(row, n, rule); }
float sum_row(const float* row, int n, ScoreRule rule, float row_max) noexcept {
  return HWY_DYNAMIC_DISPATCH(SumRow)(row, n, rule, row_max);
}
float keep_row(const float* row, int n, ScoreRule rule, float row_max, std::uint16_t* kept) noexcept {
  return HWY_DYNAMIC_DISPATCH(KeepRow)(row, n, rule, row_max, kept);
}
void weigh_row(float* row, int n, ScoreRule rule, float row_max, float gain) noexcept {
  HWY_DYNAMIC_DISPATCH(WeighRow)(row, n, rule, row_max, gain);
}
void add_columns(const float* rows, int n_rows, std::ptrdiff_t stride, int n, float* sums) noexcept {
  HWY_DYNAMIC_DISPATCH(AddColumns)(rows, n_rows, stride, n, sums);
}
void add_kept(const std::uint16_t* kept, std::ptrdiff_t stride, int n_rows, int n, const float* gain, float* columns,
              float* diagonals) noexcept {
  HWY_DYNAMIC_DISPATCH(AddKept)(kept, stride, n_rows, n, gain, columns, diagonals);
}
void add_by_level(const float* o, const float* row_sum, const float* factor, const std::int32_t* level, int v_dim,
                  float* sums) noexcept {
  HWY_DYNAMIC_DISPATCH(AddByLevel)(o, row_sum, factor, level, v_dim, sums);
}

}  // namespace saccade::kernel
#endif
